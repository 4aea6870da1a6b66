import {
  type CompletedCommand,
  type CompletedOption,
  MODEL_ENDINGS,
  type Values,
  withSubcommands,
} from './completion-words.js';

/** A function a command, each of which _arguments serves. */
export function zshScript(program: CompletedCommand): string {
  const functions = withSubcommands(program).map(commandFunction);
  return `#compdef ntx
# zsh completion of ntx: source <(ntx completion zsh), or a file _ntx in a folder of $fpath

${functions.join('\n')}
if [[ $funcstack[1] == _ntx ]]; then _ntx "$@"; else compdef _ntx ntx; fi
`;
}

function commandFunction(command: CompletedCommand): string {
  const options = command.options.map(optionSpec);
  if (command.subcommands.length === 0) {
    const count = command.arguments.length;
    const places = command.arguments.map((values, index) => {
      const place = command.isVariadic && index === count - 1 ? '*' : `${index + 1}`;
      return `${quoted(`${place}:: :${action(values)}`)}`;
    });
    return `${functionName(command)}() {\n  _arguments -S ${[...options, ...places].join(' \\\n    ')}\n}\n`;
  }
  const list = command.subcommands.map(({ path, summary }) => quoted(`${lastWord(path)}:${escaped(summary)}`));
  const cases = command.subcommands.map((each) => `      ${lastWord(each.path)}) ${functionName(each)} ;;`);
  return `${functionName(command)}() {
  local curcontext="$curcontext" state line
  typeset -A opt_args
  _arguments -C ${[...options, "'1: :->command'", "'*:: :->rest'"].join(' \\\n    ')}
  case $state in
    command) local -a commands=(
      ${list.join('\n      ')}
    ); _describe command commands ;;
    rest) case $line[1] in
${cases.join('\n')}
    esac ;;
  esac
}
`;
}

function optionSpec({ names, description, value }: CompletedOption): string {
  const others = names.length > 1 ? `'(${names.join(' ')})'` : '';
  const spelled = names.length > 1 ? `{${names.join(',')}}` : names[0];
  const behind = value === null ? '' : `:value:${action(value)}`;
  return `${others}${spelled}${quoted(`[${escaped(description)}]${behind}`)}`;
}

function action(values: Values): string {
  switch (values.kind) {
    case 'words':
      return `(${values.words.join(' ')})`;
    case 'model':
      return `_files -g "*.(${MODEL_ENDINGS.join('|')})"`;
    case 'file':
      return '_files';
    case 'folder':
      return '_files -/';
    case 'any':
      return ' ';
  }
}

function functionName({ path }: CompletedCommand): string {
  return ['_ntx', ...path.split(' ')].filter((word) => word !== '').join('_');
}

function lastWord(path: string): string {
  return path.split(' ').at(-1)!;
}

/** What _arguments and _describe take as their own. */
function escaped(text: string): string {
  return text.replace(/[[\]:\\]/g, '\\$&');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
