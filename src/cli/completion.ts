// `ntx completion`: what a shell completes, out of the program's own definition.
import { Argument, type Command } from 'commander';
import { bashScript } from './completion-bash.js';
import { fishScript } from './completion-fish.js';
import { describe } from './completion-words.js';
import { zshScript } from './completion-zsh.js';
import { print } from './output.js';
import { choiceValue } from './values.js';

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript };
type Shell = keyof typeof SCRIPTS;

const SETUP = `
bash:  echo 'source <(ntx completion bash)' >> ~/.bashrc
zsh:   echo 'source <(ntx completion zsh)' >> ~/.zshrc   (behind compinit)
fish:  ntx completion fish > ~/.config/fish/completions/ntx.fish`;

export function addCompletion(program: Command): void {
  const shells = Object.keys(SCRIPTS) as Shell[];
  const shell = new Argument('<shell>', 'yours').choices(shells).argParser(choiceValue('shell', shells));
  program
    .command('completion')
    .summary('print what completes commands in a shell')
    .description('Prints a script with which a shell completes commands, options and paths of models.')
    .addArgument(shell)
    .addHelpText('after', SETUP)
    .action((chosen: Shell) => print(SCRIPTS[chosen](describe(program))));
}
