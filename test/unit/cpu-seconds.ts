/**
 * CPU time of this process from now until the returned function is called: how much work something is, however busy the machine
 * is with other things.
 */
export function cpuSeconds(): () => number {
  const start = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1e6;
  };
}
