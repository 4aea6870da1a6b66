// Bash 3.2 and later: no mapfile, and compopt only where it is.
import { type CompletedCommand, MODEL_ENDINGS, type Values, withSubcommands } from './completion-words.js';

const HELPERS = `
_ntx_words() { COMPREPLY=($(compgen -W "$1" -- "$word")); }
_ntx_paths() {
  local IFS=$'\\n'
  COMPREPLY=($("$@" | sort -u))
  compopt -o filenames 2> /dev/null
}
_ntx_file() { compgen -f -- "$word"; }
_ntx_folder() { compgen -d -- "$word"; }
_ntx_model() {
  compgen -d -- "$word"
${MODEL_ENDINGS.map((ending) => `  compgen -f -X '!*.${ending}' -- "$word"`).join('\n')}
}`;

export function bashScript(program: CompletedCommand): string {
  const commands = withSubcommands(program);
  const names = commands.filter(({ path }) => path !== '').map(({ path }) => `'${path}'`);
  const valued = commands.flatMap((command) => optionCases(command, (value) => value !== null).map(({ key }) => key));
  return `# bash completion of ntx: source <(ntx completion bash)
${HELPERS}
_ntx() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} path='' position=0 i each
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    each=\${COMP_WORDS[i]}
    case "$path\${path:+ }$each" in ${names.join(' | ')}) path="$path\${path:+ }$each"; continue ;; esac
    case "$path $each" in
      ${valued.join(' | ')}) i=$((i + 1)) ;;
      *' -'*) ;;
      *) position=$((position + 1)) ;;
    esac
  done
  case "$path $before" in
${commands.flatMap(valueLines).join('\n')}
  esac
  if [[ $word == -* ]]; then
    case "$path" in
${commands.map(({ path, options }) => `      '${path}') _ntx_words '${options.flatMap(({ names }) => names).join(' ')}' ;;`).join('\n')}
    esac
    return
  fi
  case "$path $position" in
${commands.flatMap(positionLines).join('\n')}
  esac
}
complete -F _ntx ntx
`;
}

/** Patterns of "<command> <option>" for options whose value is as it should be. */
function optionCases({ path, options }: CompletedCommand, isWanted: (value: Values | null) => boolean) {
  return options
    .filter(({ value }) => isWanted(value))
    .map(({ names, value }) => ({ key: names.map((name) => `'${path} ${name}'`).join(' | '), value }));
}

function valueLines(command: CompletedCommand): string[] {
  return optionCases(command, (value) => value !== null).map(({ key, value }) => {
    return `    ${key}) ${call(value!)}return ;;`;
  });
}

function positionLines({ path, arguments: values, isVariadic, subcommands }: CompletedCommand): string[] {
  if (subcommands.length > 0) {
    return [`    '${path} 0') _ntx_words '${subcommands.map((each) => each.path.split(' ').at(-1)).join(' ')}' ;;`];
  }
  return values.map((value, index) => {
    const pattern = isVariadic && index === values.length - 1 ? `'${path} '*` : `'${path} ${index}'`;
    return `    ${pattern}) ${call(value)};;`;
  });
}

function call(values: Values): string {
  if (values.kind === 'words') return `_ntx_words '${values.words.join(' ')}'; `;
  return values.kind === 'any' ? '' : `_ntx_paths _ntx_${values.kind}; `;
}
