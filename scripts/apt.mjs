// Debian and Ubuntu packages into a folder, without root and without touching the system: apt with state of its own.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SOURCES = '/etc/apt/sources.list';
const SOURCE_PARTS = '/etc/apt/sources.list.d';
/** What the running process has loaded already. */
const NEVER = /^(libc6|libc-bin|libgcc-s1|libstdc\+\+6|gcc-\d+-base)_/;

/** The distribution's own sources, as the machine has them: its mirror, its keys. */
function distributionSources(codename) {
  const stanzas = [];
  const files = existsSync(SOURCE_PARTS) ? readdirSync(SOURCE_PARTS).map((name) => join(SOURCE_PARTS, name)) : [];
  for (const file of [SOURCES, ...files].filter(existsSync)) {
    const text = readFileSync(file, 'utf8');
    stanzas.push(...(file.endsWith('.sources') ? deb822(text) : oneLine(text)));
  }
  return stanzas.filter(({ suites }) => suites.some((suite) => suite.startsWith(codename)));
}

function deb822(text) {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const lines = stanza.split('\n').filter((line) => !line.startsWith('#'));
    const field = (name) => lines.find((line) => line.toLowerCase().startsWith(`${name}:`))?.replace(/^[^:]*:\s*/, '');
    const [types, uris, suites] = ['types', 'uris', 'suites'].map((name) => field(name)?.split(/\s+/) ?? []);
    if (!types.includes('deb') || field('enabled') === 'no') return [];
    return [{ uris, suites, components: field('components') ?? '', signedBy: field('signed-by') ?? null }];
  });
}

function oneLine(text) {
  return [...text.matchAll(/^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.*)$/gm)].map(
    ([, options = '', uri, suite, components]) => ({
      uris: [uri],
      suites: [suite],
      components,
      signedBy: /signed-by=(\S+)/.exec(options)?.[1] ?? null,
    }),
  );
}

function sourcesText(stanzas) {
  return stanzas
    .map(({ uris, suites, components, signedBy }) =>
      [
        'Types: deb',
        `URIs: ${uris.join(' ')}`,
        `Suites: ${suites.join(' ')}`,
        `Components: ${components}`,
        ...(signedBy ? [`Signed-By: ${signedBy}`] : []),
      ].join('\n'),
    )
    .join('\n\n');
}

/**
 * Downloads packages with what they need and the machine has not, and unpacks them.
 * @param suite added to the sources and preferred, `<codename>-backports`; null: none
 * @returns the folder that stands for `/`
 */
export function unpackPackages(packages, folder, codename, suite) {
  if (spawnSync('apt-get', ['--version']).status !== 0)
    throw new Error('this is no Debian or Ubuntu: there is no apt-get');
  const stanzas = distributionSources(codename);
  if (stanzas.length === 0) throw new Error(`the apt sources of this machine name no suite of ${codename}`);
  const main = stanzas.find(({ suites }) => suites.includes(codename));
  if (suite && main) stanzas.push({ ...main, suites: [suite] });

  const state = join(folder, 'apt');
  const archives = join(state, 'archives');
  for (const each of ['lists/partial', 'archives/partial', 'sources'])
    mkdirSync(join(state, each), { recursive: true });
  writeFileSync(join(state, 'sources/distribution.sources'), `${sourcesText(stanzas)}\n`);
  const options = {
    'Dir::Etc::sourcelist': '/dev/null',
    'Dir::Etc::sourceparts': join(state, 'sources'),
    'Dir::State::Lists': join(state, 'lists'),
    'Dir::Cache': state,
    'Dir::Cache::archives': archives,
    'Debug::NoLocking': '1',
    // As root, apt would hand the downloads to a user who may not write here.
    'APT::Sandbox::User': 'root',
  };
  const apt = (...args) => {
    const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
    run('apt-get', ['-q', '-y', ...flags, ...args]);
  };
  apt('update');
  // --reinstall: of an installed package there is a copy here as well.
  const prefer = suite ? ['-t', suite] : [];
  apt('install', '--download-only', '--reinstall', '--no-install-recommends', ...prefer, ...packages);
  const root = join(folder, 'root');
  mkdirSync(root, { recursive: true });
  for (const name of readdirSync(archives)) {
    if (name.endsWith('.deb') && !NEVER.test(name)) run('dpkg-deb', ['-x', join(archives, name), root]);
  }
  return root;
}

function run(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (status === 0) return;
  const reason = error?.message ?? `${stderr || stdout}`.trim().split('\n').slice(-3).join('; ');
  throw new Error(`${command} ${args.at(-1)} failed: ${reason}`);
}
