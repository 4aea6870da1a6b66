import { NtxError } from '../errors.js';

interface Signature {
  readonly what: string;
  readonly advice: string;
  matches(head: Buffer, text: string): boolean;
}

const startsWith =
  (...bytes: number[]) =>
  (head: Buffer): boolean =>
    head.subarray(0, bytes.length).equals(Buffer.from(bytes));

const CONVERT = 'Convert it to GGUF first (llama.cpp has convert_hf_to_gguf.py), or download a GGUF of this model.';
const UNPACK = 'Unpack it and open the .gguf file that is inside.';
const DOWNLOAD_FILE =
  'Download the file itself: on Hugging Face, take the address that holds /resolve/ instead of /blob/.';

/** What people hand over instead of a GGUF file, most telling signature first. */
const SIGNATURES: readonly Signature[] = [
  {
    what: 'a git-lfs pointer, not the file that it stands for',
    advice: 'Run "git lfs pull" in the repository that it came from.',
    matches: (_, text) => text.startsWith('version https://git-lfs.github.com/'),
  },
  {
    what: 'a web page',
    advice: DOWNLOAD_FILE,
    matches: (_, text) => /^\uFEFF?\s*<(!doctype|html|\?xml)/i.test(text),
  },
  {
    // An 8-byte header length, then the JSON header.
    what: 'a safetensors file',
    advice: CONVERT,
    matches: (head) => head.length > 8 && head[8] === 0x7b && head.subarray(3, 8).every((byte) => byte === 0),
  },
  {
    what: 'a zip archive (PyTorch checkpoints are such)',
    advice: CONVERT,
    matches: startsWith(0x50, 0x4b, 0x03, 0x04),
  },
  { what: 'a Python pickle (an old PyTorch checkpoint)', advice: CONVERT, matches: startsWith(0x80, 0x02) },
  {
    what: 'a file of the GGML formats that came before GGUF',
    advice: CONVERT,
    matches: (_, text) => /^(lmgg|fmgg|tjgg|algg)/.test(text),
  },
  { what: 'compressed with gzip', advice: UNPACK, matches: startsWith(0x1f, 0x8b) },
  { what: 'compressed with zstd', advice: UNPACK, matches: startsWith(0x28, 0xb5, 0x2f, 0xfd) },
  { what: 'compressed with xz', advice: UNPACK, matches: startsWith(0xfd, 0x37, 0x7a, 0x58, 0x5a) },
  { what: 'a 7-zip archive', advice: UNPACK, matches: startsWith(0x37, 0x7a, 0xbc, 0xaf) },
  {
    what: 'empty space (zeros): a download that was only begun',
    advice: 'Download it again.',
    matches: (head) => head.every((byte) => byte === 0),
  },
  { what: 'text in JSON', advice: DOWNLOAD_FILE, matches: (_, text) => /^\uFEFF?\s*[[{]/.test(text) },
];

/** The error for a file that does not begin with `GGUF`: says what its first bytes look like. */
export function foreignFile(path: string, head: Buffer): NtxError {
  const text = head.toString('utf8');
  const found = SIGNATURES.find((signature) => signature.matches(head, text));
  const shown = head
    .subarray(0, 8)
    .toString('latin1')
    .replace(/[^ -~]/g, '.');
  const hex = head
    .subarray(0, 8)
    .toString('hex')
    .replace(/..(?=.)/g, '$& ');
  return new NtxError(
    'bad-file',
    `'${path}' is not a GGUF file: it begins with "${shown}" (${hex}) instead of "GGUF".${found ? ` It looks like ${found.what}.` : ''}`,
    found?.advice ?? 'Give a model file in GGUF format, usually named *.gguf.',
  );
}
