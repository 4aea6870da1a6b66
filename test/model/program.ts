import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

export interface Ended {
  /** Exit status, or null with the signal that ended it. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Text on standard input; without it there is none (/dev/null). */
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Called with all of stdout so far whenever some arrives. */
  readonly onOutput?: (child: ChildProcess, stdout: string) => void;
}

/** Runs the built program to its end. */
export function ntx(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  return run(process.execPath, [MAIN, ...args], options);
}

/** Runs a shell line in which `ntx` stands for the built program. */
export function shell(line: string): Promise<Ended> {
  return run('bash', ['-c', `ntx() { "${process.execPath}" "${MAIN}" "$@"; }; ${line}`], {});
}

function run(command: string, args: readonly string[], { input, env, onOutput }: RunOptions): Promise<Ended> {
  const child = spawn(command, args, {
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, NTX_DEBUG: '', ...env },
  });
  let stdout = '';
  let stderr = '';
  child.stdout!.setEncoding('utf8').on('data', (text) => {
    stdout += text;
    onOutput?.(child, stdout);
  });
  child.stderr!.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  // The program may end before it has read all.
  child.stdin?.on('error', () => {}).end(input);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, stdout, stderr }));
  });
}
