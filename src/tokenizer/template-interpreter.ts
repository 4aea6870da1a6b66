// Chat templates come with the model, from whoever made it: one may not run for hours or fill the memory.
import { type Environment, Interpreter, type parse } from '@huggingface/jinja';

/** A node of a template's program. */
interface Statement {
  readonly type: string;
  /** Of a loop: what it goes through. */
  readonly iterable?: Statement;
}

interface Value {
  readonly value: unknown;
}

/** What the package's interpreter has; its own declarations do not resolve under NodeNext. */
interface Evaluator {
  run(program: ReturnType<typeof parse>): Value;
  evaluate(statement: Statement | undefined, environment: Environment): Value;
}
const JinjaInterpreter = Interpreter as unknown as new (environment: Environment) => Evaluator;

/** Statements and expressions of one rendering, some seconds of work; a thousand messages take some ten thousand. */
const MOST_STEPS = 3_000_000;
/** Of a turn of a loop, for which jinja makes a dozen objects. */
const STEPS_A_TURN = 10;
/** UTF-16 units of a text, elements of a list: far more than any context holds. */
const MOST_LENGTH = 1 << 26;

/** Jinja's interpreter within limits: throws an Error where a template asks for more than any conversation needs. */
export class LimitedInterpreter extends JinjaInterpreter {
  private steps = 0;
  /** What loops go through: their turns are counted even where their bodies are empty. */
  private readonly iterables = new Set<Statement>();

  override evaluate(statement: Statement | undefined, environment: Environment): Value {
    if (statement?.type === 'For' && statement.iterable) this.iterables.add(statement.iterable);
    const result = super.evaluate(statement, environment);
    const length = lengthOf(result);
    this.steps += statement !== undefined && this.iterables.has(statement) ? 1 + STEPS_A_TURN * length : 1;
    if (this.steps > MOST_STEPS) throw new Error(`it takes more than ${MOST_STEPS} steps`);
    if (length > MOST_LENGTH) throw new Error(`it makes a value of more than ${MOST_LENGTH} characters`);
    return result;
  }
}

function lengthOf({ value }: Value): number {
  return typeof value === 'string' || Array.isArray(value) ? value.length : 0;
}
