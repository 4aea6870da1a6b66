#!/usr/bin/env node
// A Vulkan device made of software, for the WebGPU tests: finds a driver that Dawn accepts or, on Debian and Ubuntu, gets one
// into build/vulkan without root. Prints what to set, or runs a command with it.
//
//   node scripts/software-vulkan.mjs [lavapipe|swiftshader] [-- command...]
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { unpackPackages } from './apt.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const CACHE = join(ROOT, 'build/vulkan');

/**
 * Mesa 22.3 of Debian 12 lacks features that Dawn needs; its backports have a newer one, as have all later distributions.
 * SwiftShader comes with browsers alone.
 */
const DRIVERS = {
  lavapipe: {
    adapter: /llvmpipe/,
    installed: ['/usr/share/vulkan/icd.d', '/usr/local/share/vulkan/icd.d', '/etc/vulkan/icd.d'],
    manifest: /^lvp_icd.*\.json$/,
    packages: ['mesa-vulkan-drivers', 'libvulkan1'],
    library: 'libvulkan_lvp.so',
    backports: ['bookworm'],
  },
  swiftshader: {
    adapter: /swiftshader/i,
    installed: ['/usr/lib/chromium', '/usr/lib/chromium-browser', '/opt/google/chrome'],
    manifest: /^vk_swiftshader_icd\.json$/,
    packages: ['chromium', 'libvulkan1'],
    library: 'libvk_swiftshader.so',
    backports: [],
  },
};

/** Names of the adapters that Dawn finds with this environment, in a process of its own. */
function adaptersWith(environment) {
  const code = `
    import { create } from 'webgpu';
    const gpu = create(['adapter=(none has this name)']);
    const error = await gpu.requestAdapter().then(() => '', String);
    for (const [, name] of error.matchAll(/name: '(.*)'$/gm)) {
      const one = create(['adapter=' + name]);
      if (await one.requestAdapter().catch(() => null)) console.log('adapter ' + name);
    }`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    cwd: ROOT,
    env: { ...process.env, ...environment },
    encoding: 'utf8',
  });
  return [...(stdout ?? '').matchAll(/^adapter (.*)$/gm)].map(([, name]) => name);
}

function works({ adapter }, environment) {
  return adaptersWith(environment).some((name) => adapter.test(name));
}

function installedManifests({ installed, manifest }) {
  return installed
    .filter(existsSync)
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
    .filter((path) => manifest.test(basename(path)));
}

/** Where the driver and the libraries lie that were unpacked; null: nowhere. */
function cachedEnvironment(name) {
  const manifest = join(CACHE, name, 'icd.json');
  if (!existsSync(manifest)) return null;
  const { ICD, libraries } = JSON.parse(readFileSync(manifest, 'utf8'));
  if (!existsSync(ICD.library_path)) return null;
  const before = process.env.LD_LIBRARY_PATH ? [process.env.LD_LIBRARY_PATH] : [];
  return { VK_DRIVER_FILES: manifest, LD_LIBRARY_PATH: [...libraries, ...before].join(':') };
}

function download(name) {
  const { packages, library, backports } = DRIVERS[name];
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const codename = /^VERSION_CODENAME=(.*)$/m.exec(release)?.[1] ?? '';
  console.error(`ntx: getting the software Vulkan driver ${name} into ${CACHE}`);
  const suite = backports.includes(codename) ? `${codename}-backports` : null;
  const root = unpackPackages(packages, join(CACHE, name), codename, suite);
  const files = readdirSync(root, { recursive: true }).map((path) => join(root, path));
  const driver = files.find((path) => basename(path) === library);
  if (!driver) throw new Error(`${packages[0]} holds no ${library}`);
  const libraries = [...new Set(files.filter((path) => /\.so(\.\d+)*$/.test(path)).map(dirname))].filter(
    (folder) => /\/lib\/[^/]*-linux-[^/]*$/.test(folder) || folder === dirname(driver),
  );
  const manifest = {
    file_format_version: '1.0.0',
    ICD: { api_version: '1.1.0', library_path: driver },
    libraries,
  };
  writeFileSync(join(CACHE, name, 'icd.json'), JSON.stringify(manifest, null, 2));
}

/**
 * Environment variables with which Dawn finds the driver and nothing else. They have to be set when a process starts.
 * Throws an Error with the reason where none can be had.
 */
export function softwareVulkan(name = 'lavapipe') {
  const driver = DRIVERS[name];
  if (!driver) throw new Error(`there is no driver "${name}"; choose one of ${Object.keys(DRIVERS).join(', ')}`);
  const given = process.env.VK_DRIVER_FILES;
  const candidates = [...(given ? [given] : []), ...installedManifests(driver)];
  for (const VK_DRIVER_FILES of candidates) if (works(driver, { VK_DRIVER_FILES })) return { VK_DRIVER_FILES };
  if (process.platform !== 'linux') throw new Error(`software Vulkan is for Linux; this is ${process.platform}`);
  const cached = cachedEnvironment(name);
  if (cached && works(driver, cached)) return cached;
  download(name);
  const environment = cachedEnvironment(name);
  if (environment && works(driver, environment)) return environment;
  throw new Error(`${name} was unpacked to ${CACHE}, and Dawn does not accept it`);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const args = process.argv.slice(2);
  const at = args.includes('--') ? args.indexOf('--') : args.length;
  try {
    const environment = softwareVulkan(args.slice(0, at)[0]);
    const [command, ...rest] = args.slice(at + 1);
    if (command) {
      const { status } = spawnSync(command, rest, { stdio: 'inherit', env: { ...process.env, ...environment } });
      process.exitCode = status ?? 1;
    } else {
      for (const [key, value] of Object.entries(environment)) console.log(`export ${key}='${value}'`);
    }
  } catch (error) {
    console.error(`ntx: no software Vulkan device: ${error.message}`);
    process.exitCode = 1;
  }
}
