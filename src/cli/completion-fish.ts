import { type CompletedCommand, MODEL_ENDINGS, type Values, withSubcommands } from './completion-words.js';

export function fishScript(program: CompletedCommand): string {
  const lines = withSubcommands(program).flatMap(commandLines);
  return `# fish completion of ntx: ntx completion fish > ~/.config/fish/completions/ntx.fish
complete -c ntx -f
${lines.join('\n')}
`;
}

function commandLines(command: CompletedCommand): string[] {
  const line = `complete -c ntx -n ${quoted(condition(command))}`;
  const subcommands = command.subcommands.map(({ path, summary }) => {
    return `${line} -a ${path.split(' ').at(-1)} -d ${quoted(summary)}`;
  });
  const options = command.options.map(({ names, description, value }) => {
    const spelled = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
    const values = value === null ? '' : ` -${value.kind === 'file' ? 'r' : 'x'}${choices(value)}`;
    return `${line} ${spelled.join(' ')} -d ${quoted(description)}${values}`;
  });
  // Which of a command's arguments comes next is not looked at: each kind is offered once.
  const places = new Set(command.arguments.map(choices).filter((each) => each !== ''));
  return [...subcommands, ...options, ...[...places].map((each) => `${line}${each}`)];
}

/** Where a command's words are completed: behind all words of its path, and before those of a command below it. */
function condition({ path, subcommands }: CompletedCommand): string {
  const below = subcommands.map((each) => each.path.split(' ').at(-1)).join(' ');
  if (path === '') return '__fish_use_subcommand';
  const seen = path.split(' ').map((word) => `__fish_seen_subcommand_from ${word}`);
  return [...seen, ...(below === '' ? [] : [`not __fish_seen_subcommand_from ${below}`])].join('; and ');
}

function choices(values: Values): string {
  switch (values.kind) {
    case 'words':
      return ` -a ${quoted(values.words.join(' '))}`;
    case 'model':
      return ` -k -a ${quoted(`(__fish_complete_suffix ${MODEL_ENDINGS.map((ending) => `.${ending}`).join(' ')})`)}`;
    case 'folder':
      return ` -a ${quoted('(__fish_complete_directories)')}`;
    case 'file':
      return ' -F';
    case 'any':
      return '';
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
