/**
 * Runs `work` with a signal that the first Ctrl-C aborts. A second Ctrl-C ends the process as usual: a pass that takes
 * minutes cannot be stopped from here.
 */
export async function interruptible<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
  const controller = new AbortController();
  const abort = () => controller.abort();
  process.once('SIGINT', abort);
  try {
    return await work(controller.signal);
  } finally {
    process.off('SIGINT', abort);
  }
}
