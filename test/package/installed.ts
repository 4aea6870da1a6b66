// The package as npm packs it, in a folder elsewhere, without a registry: the archive is unpacked, its dependencies are linked
// to those of this checkout, and `npm rebuild` does what an install does then: the install script and the commands' links.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The archive's path. dist/ is as the global setup left it. */
export function pack(folder: string): string {
  const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder];
  const [{ filename }] = JSON.parse(execFileSync('npm', args, { cwd: ROOT, encoding: 'utf8', stdio: 'pipe' }));
  return join(folder, filename);
}

export interface Environment {
  readonly [name: string]: string | undefined;
}

/** A folder in which ntx is installed but for its install script. */
export class Installed {
  readonly folder = mkdtempSync(join(tmpdir(), 'ntx-installed-'));
  readonly package = join(this.folder, 'node_modules/ntx');

  constructor(archive: string) {
    mkdirSync(this.package, { recursive: true });
    execFileSync('tar', ['-xzf', archive, '--strip-components=1', '-C', this.package]);
    const { dependencies } = JSON.parse(readFileSync(join(this.package, 'package.json'), 'utf8'));
    // Nothing but these: what ntx uses and does not declare is not found. Where this checkout is a package itself, as in an
    // archive of npm's, they may lie further up.
    for (const name of Object.keys(dependencies)) this.link(name);
    const manifest = { private: true, type: 'module', dependencies: { ntx: '*' } };
    writeFileSync(join(this.folder, 'package.json'), JSON.stringify(manifest));
  }

  /** Makes a package of this checkout one of the folder's. */
  link(name: string): void {
    const to = join(this.folder, 'node_modules', name);
    mkdirSync(dirname(to), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), to, 'dir');
  }

  /** The folder whose <platform>-<arch> holds the package's binaries. */
  get prebuilds(): string {
    return join(this.package, 'prebuilds');
  }

  /** What npm runs after it has unpacked everything; returns what it said. */
  install(environment: Environment = {}): string {
    const { status, output } = this.run('npm', ['rebuild', 'ntx', '--offline', '--foreground-scripts'], environment);
    if (status !== 0) throw new Error(`npm rebuild failed:\n${output}`);
    return output;
  }

  run(command: string, args: readonly string[], environment: Environment = {}): { status: number; output: string } {
    const env = { ...process.env, NTX_DEBUG: '', ...environment };
    const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: this.folder, env, encoding: 'utf8' });
    if (error) throw error;
    return { status: status ?? -1, output: `${stdout}${stderr}` };
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text);
  }
}

/** An environment in which no compiler is found and no earlier build: Node and the shell alone are on the PATH. */
export function withoutCompilers(folder: string): Environment {
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  const folders = (process.env.PATH ?? '').split(delimiter);
  for (const name of ['sh', 'npm', 'npx', 'env', 'uname']) {
    const found = folders.map((each) => join(each, name)).find(existsSync);
    if (found) symlinkSync(found, join(bin, name));
  }
  symlinkSync(process.execPath, join(bin, 'node'));
  return { PATH: bin, CXX: '', XDG_CACHE_HOME: join(folder, 'cache') };
}
