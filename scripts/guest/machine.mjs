// An emulated machine with NVMe drives behind an IOMMU, and an agent in it that runs shell commands.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const BOOT_MS = 120_000;

export class Machine {
  process;
  folder;
  agent;
  monitor;
  /** What kernel and init have written. */
  console = '';
  #hasHung = false;
  #waiting = null;
  #agentText = '';
  #qmpText = '';
  #qmpWaiting = [];
  #queue = Promise.resolve();
  constructor(process, folder, agent, monitor) {
    this.process = process;
    this.folder = folder;
    this.agent = agent;
    this.monitor = monitor;
  }

  /** Starts a machine and waits until its agent answers. */
  static async boot(images, options) {
    const folder = mkdtempSync(join(tmpdir(), 'ntx-guest-'));
    const child = spawn(images.parts.qemu, qemuArguments(images, options, folder), {
      env: { ...process.env, LD_LIBRARY_PATH: images.parts.libraries },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const keep = (text) => {
      output += text;
    };
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    try {
      const monitor = await reach(join(folder, 'qmp'), child);
      const agent = await reach(join(folder, 'agent'), child);
      const machine = new Machine(child, folder, agent, monitor);
      machine.console = output;
      child.stdout.off('data', keep).on('data', (text) => {
        machine.console += text;
      });
      const ready = machine.#answer();
      machine.#listen();
      await Promise.race([
        ready,
        sleep(BOOT_MS, undefined, { ref: false }).then(() => Promise.reject(new Error('no agent after two minutes'))),
      ]);
      await machine.qmp('qmp_capabilities');
      return machine;
    } catch (error) {
      child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
      throw new Error(`the emulated machine did not start: ${error.message}\n${output}`, { cause: error });
    }
  }

  /** Runs a shell line inside of the payload to its end; one after the other. */
  run(line, timeoutMs = 90_000) {
    const ran = this.#queue.then(async () => {
      if (this.#hasHung) throw new Error('the emulated machine does not answer any more');
      const answer = this.#answer();
      this.agent.write(`${Buffer.from(line).toString('base64')}\n`);
      const limit = sleep(timeoutMs, null, { ref: false });
      const ended = await Promise.race([answer, limit]);
      if (ended) return ended;
      this.#hasHung = true; // nothing more can be run
      throw new Error(
        `"${line}" did not end in ${timeoutMs} ms; so far:\n${this.#agentText}\n${this.console.slice(-3000)}`,
      );
    });
    this.#queue = ran.catch(() => {});
    return ran;
  }

  /** As run(); throws when the line fails. */
  async must(line, timeoutMs) {
    const { status, output } = await this.run(line, timeoutMs);
    if (status !== 0) throw new Error(`"${line}" ended with ${status}:\n${output}\n${this.console.slice(-2000)}`);
    return output;
  }

  /** Waits until the line that runs has written this. */
  async seen(text, timeoutMs = 30_000) {
    for (const end = Date.now() + timeoutMs; !this.#agentText.includes(text); await sleep(20)) {
      if (Date.now() > end) throw new Error(`"${text}" did not come in ${timeoutMs} ms; so far:\n${this.#agentText}`);
    }
  }

  /** The block device of the drive at a PCI address ("nvme0n1"): numbers change from boot to boot. */
  async blockDevice(address) {
    const folder = `/sys/bus/pci/devices/${address}/nvme`;
    const wait = `for i in $(seq 100); do ls ${folder}/nvme*/ 2>/dev/null | grep -qE '^nvme.*n[0-9]+$' && break; sleep 0.1; done`;
    const names = await this.must(`${wait}; ls ${folder}/nvme*/ | grep -E '^nvme.*n[0-9]+$'`);
    return names.split('\n')[0].replace(/c\d+n/, 'n');
  }

  /** A command of QEMU's machine protocol. */
  async qmp(execute, args = {}) {
    const answer = new Promise((resolve) => {
      this.#qmpWaiting.push(resolve);
    });
    this.monitor.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    const { return: result, error } = await answer;
    if (error) throw new Error(`${execute}: ${error.desc}`);
    return result;
  }

  /** A line of QEMU's monitor for people. */
  async hmp(line) {
    return String(await this.qmp('human-monitor-command', { 'command-line': line }));
  }

  /** Writes of a drive to addresses that it had not been given, as the IOMMU has reported them. */
  async dmaFaults() {
    return (await this.run('dmesg | grep -iE "DMAR.*fault|AMD-Vi.*fault|IO_PAGE_FAULT"')).output;
  }

  async close() {
    const runs = this.process.exitCode === null && this.process.signalCode === null;
    const ended = runs ? once(this.process, 'exit') : null;
    this.process.kill('SIGKILL');
    await ended;
    this.agent.destroy();
    this.monitor.destroy();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #answer() {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  #listen() {
    this.agent.setEncoding('utf8').on('data', (text) => {
      this.#agentText += text;
      const end = /(?:^|\n?)@(?:ready|status (\d+))\n/.exec(this.#agentText);
      if (!end) return;
      const output = this.#agentText.slice(0, end.index);
      this.#agentText = this.#agentText.slice(end.index + end[0].length);
      this.#waiting?.resolve({ status: Number(end[1] ?? 0), output });
    });
    this.monitor.setEncoding('utf8').on('data', (text) => {
      this.#qmpText += text;
      const lines = this.#qmpText.split('\n');
      this.#qmpText = lines.pop();
      for (const line of lines) {
        const message = JSON.parse(line);
        if ('return' in message || 'error' in message) this.#qmpWaiting.shift()?.(message);
      }
    });
    this.process.once('exit', () => this.#waiting?.reject(new Error(`QEMU has ended\n${this.console.slice(-2000)}`)));
  }
}

function qemuArguments(images, options, folder) {
  const { memoryMiB = 1024, hugePages = 32, processors = 1, iommu = true } = options;
  const socket = (name) => `socket,id=${name},path=${join(folder, name)},server=on,wait=off`;
  return [
    ...images.parts.firmware.split(':').flatMap((path) => ['-L', path]),
    ...'-machine q35,kernel-irqchip=split -accel tcg -cpu qemu64,+rdrand,+rdseed -nodefaults -no-reboot'.split(' '),
    ...`-smp ${processors} -m ${memoryMiB} -display none -serial stdio`.split(' '),
    ...['-kernel', images.parts.kernel, '-initrd', images.initramfs],
    ...['-append', `console=ttyS0 quiet panic=-1 intel_iommu=${iommu ? 'on' : 'off'} iommu=pt HUGE=${hugePages}`],
    ...(iommu ? ['-device', 'intel-iommu,intremap=on,caching-mode=on'] : []),
    ...['-chardev', socket('qmp'), '-mon', 'chardev=qmp,mode=control'],
    ...[
      '-chardev',
      socket('agent'),
      '-device',
      'virtio-serial-pci',
      '-device',
      'virtserialport,chardev=agent,name=agent',
    ],
    ...['-drive', `if=none,id=payload,format=raw,readonly=on,file=${images.payload}`],
    ...['-device', 'virtio-blk-pci,drive=payload'],
    ...options.drives,
  ];
}

/** Connects to a socket that QEMU is about to make. */
async function reach(path, child) {
  for (let tries = 0; ; tries++) {
    const socket = connect(path);
    try {
      await once(socket, 'connect');
      socket.on('error', () => {}); // QEMU's end is told by its process
      return socket;
    } catch (error) {
      if (child.exitCode !== null || tries > 200) throw error;
      await sleep(25);
    }
  }
}
