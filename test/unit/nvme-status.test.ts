import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { statusSentence } from '../../src/nvme/completion-status.js';

test('every completion status has a sentence and advice', () => {
  for (let type = 0; type < 8; type++) {
    for (let code = 0; code < 256; code++) {
      const { message, advice } = statusSentence(type, code);
      expect(message).toContain(`${type}/0x${code.toString(16).padStart(2, '0')}`);
      expect(message.length).toBeGreaterThan(30);
      expect(advice.length).toBeGreaterThan(10);
      expect(`${message} ${advice}`).not.toMatch(/undefined|NaN/);
    }
  }
  expect(statusSentence(2, 0x81).message).toMatch(/cannot read these bytes any more/);
  expect(statusSentence(0, 0xc3).message).toMatch(/vendor specific status 0\/0xc3/);
  expect(statusSentence(7, 1).message).toMatch(/vendor specific/);
});

describe('the driver can only read', () => {
  const folder = new URL('../../native/vfio/', import.meta.url);
  const sources = readdirSync(folder)
    .filter((name) => /\.(cc|h)$/.test(name))
    .map((name) => ({ name, text: readFileSync(new URL(name, folder), 'utf8') }));

  test('opcodes are these and are written in one place', () => {
    const text = sources.find(({ name }) => name === 'command.cc')!.text;
    const opcodes = (name: string) => {
      const body = new RegExp(`enum class ${name}[^{]*{([^}]*)}`).exec(text)![1];
      return [...body.matchAll(/(\w+) = (0x[0-9a-f]+)/g)].map(([, opcode, value]) => `${opcode} ${value}`);
    };
    // Section 5 of the base specification: none of these changes data, format, firmware or namespaces.
    expect(opcodes('AdminOpcode')).toEqual([
      'kDeleteSubmissionQueue 0x00',
      'kCreateSubmissionQueue 0x01',
      'kDeleteCompletionQueue 0x04',
      'kCreateCompletionQueue 0x05',
      'kIdentify 0x06',
      'kAbort 0x08',
      'kSetFeatures 0x09',
    ]);
    expect(opcodes('IoOpcode')).toEqual(['kRead 0x02']);
    for (const { name, text } of sources) {
      if (name === 'command.cc') continue;
      // Nobody else makes the dword that holds the opcode, except to add the command's number above it.
      for (const [line] of text.matchAll(/^.*opcode_and_id\s*[|&+^-]?=(?!=).*$/gm)) {
        expect(line).toMatch(/= 0;|static_cast<uint32_t>\(id\) << 16;$/);
      }
    }
  });

  test('no name of a command that changes a drive occurs', () => {
    const forbidden =
      /k(Write|Format|Firmware|Sanitize|Dataset|Compare|Flush|Security|NamespaceManagement|Copy|Append|Zone)\w*/g;
    for (const { name, text } of sources) expect([name, text.match(forbidden)]).toEqual([name, null]);
  });

  test('I/O queues take reads alone', () => {
    const text = sources.find(({ name }) => name === 'queue-pair.h')!.text;
    const queue = /class ReadQueue[\s\S]*?};/.exec(text)![0];
    expect(queue.match(/void \w+\([^)]*\)/g)).toEqual(['void submit(const ReadCommand& command, uint16_t id)']);
  });
});
