// The house's sizes: no file over 400 lines and no function over 60, but for those that CONTRIBUTING.md names with a reason.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const FILE_LINES = 400;
const FUNCTION_LINES = 60;

interface Block {
  readonly name: string;
  readonly lines: number;
}

/** Functions and methods of TypeScript and JavaScript; what `describe` is called with is a list of tests, and none. */
function scriptFunctions(path: string, text: string): Block[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const found: Block[] = [];
  const lineOf = (position: number) => source.getLineAndCharacterOfPosition(position).line;
  const visit = (node: ts.Node) => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body && !isSuite(node)) {
      const name = node.name?.getText() ?? `(line ${lineOf(node.getStart()) + 1})`;
      found.push({ name, lines: lineOf(node.end) - lineOf(node.getStart()) + 1 });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function isSuite({ parent }: ts.Node): boolean {
  return ts.isCallExpression(parent) && parent.expression.getText().startsWith('describe');
}

/** Blocks of C++, CUDA and WGSL behind a parameter list, outside of other functions. */
function nativeFunctions(text: string): Block[] {
  const blank = (match: string) => match.replace(/[^\n]/g, ' ');
  const code = text
    .replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])'/g, blank)
    .replace(/^#(?:.*\\\n)*.*$/gm, blank)
    .replace(/__launch_bounds__\([^)]*\)|@\w+(?:\([^)]*\))?/g, blank)
    // Initializers: a function's brace has a blank before it.
    .replace(/(?<=[\w>])\{[^{}]*\}/g, blank);
  const found: Block[] = [];
  let open: { name: string; line: number; depth: number } | null = null;
  let [depth, line, head] = [0, 1, ''];
  for (const character of code) {
    if (character === '\n') line++;
    if (character === '{') {
      const name = /(~?[\w:]+|operator\S+)\s*\([\s\S]*\)[^()]*(?::[^:][\s\S]*)?$/.exec(head)?.[1];
      if (open === null && name !== undefined && !/^\s*(?:namespace|class|struct|enum|union)\b/.test(head)) {
        open = { name, line: line - (head.trimStart().match(/\n/g)?.length ?? 0), depth };
      }
      depth++;
    }
    if (character === '}' && --depth === open?.depth) {
      found.push({ name: open.name, lines: line - open.line + 1 });
      open = null;
    }
    head = /[;{}]/.test(character) ? '' : head + character;
  }
  return found;
}

/** Sources that are written by hand, as git has them; in an unpacked archive there is no git, and nothing to look at. */
function sources(): string[] {
  const files = execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' }).split('\n');
  return files.filter((file) => /\.(ts|mts|mjs|cc|h|cu|cuh|wgsl)$/.test(file) && existsSync(`${root}/${file}`));
}

/** "path" or "path function" of every line "- `path`: reason" or "- `path` `function`: reason" of CONTRIBUTING.md's list. */
function listed(): Set<string> {
  const section = /\n## Longer than that\n([\s\S]*?)(?=\n## |$)/.exec(
    readFileSync(`${root}/CONTRIBUTING.md`, 'utf8'),
  )![1];
  const names = section.matchAll(/^- `([^`]+)`(?: `([^`]+)`)?: \S/gm);
  return new Set(Array.from(names, ([, path, name]) => (name === undefined ? path : `${path} ${name}`)));
}

/** "path", or "path function". */
const long = sources().flatMap((file) => {
  const text = readFileSync(`${root}/${file}`, 'utf8');
  const blocks = /\.m?ts$|\.mjs$/.test(file) ? scriptFunctions(file, text) : nativeFunctions(text);
  const found = blocks.filter(({ lines }) => lines > FUNCTION_LINES).map(({ name }) => `${file} ${name}`);
  return text.trimEnd().split('\n').length > FILE_LINES ? [file, ...found] : found;
});

test('files and functions are short, or CONTRIBUTING.md says why not', () => {
  const allowed = listed();
  const found = long.filter((each) => !allowed.has(each) && !allowed.has(each.split(' ')[0]));
  expect(found).toEqual([]);
});

test('what CONTRIBUTING.md excuses is there, and is long', () => {
  const found = new Set(long.flatMap((each) => [each, each.split(' ')[0]]));
  expect([...listed()].filter((each) => !found.has(each))).toEqual([]);
});

describe('the ruler', () => {
  const body = '  x();\n'.repeat(4);

  test('measures functions of TypeScript, and not suites', () => {
    const text = `class A {\n  m(): void {\n${body}  }\n}\nconst f = () => {\n${body}};\ndescribe('x', () => {\n${body}});\n`;
    expect(scriptFunctions('a.ts', text)).toEqual([
      { name: 'm', lines: 6 },
      { name: '(line 9)', lines: 6 },
    ]);
  });

  test('measures functions of C++, CUDA and WGSL', () => {
    const text = `namespace a {\nstruct S : T {\n  S(int b)\n      : b_{b} {\n${body}  }\n  int b_ = 0;\n};\n
template <int N>\n__global__ void kernel(const float* x) {\n  if (x) {\n${body}  }\n  auto g = [&](int i) { return i; };\n}\n}\n
@compute @workgroup_size(64)\nfn main(@builtin(x) id: vec3u) {\n${body}}\n`;
    expect(nativeFunctions(text)).toMatchObject([
      { name: 'S', lines: 7 },
      { name: 'kernel', lines: 10 },
      { name: 'main', lines: 6 },
    ]);
  });
});
