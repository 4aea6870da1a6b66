// The planner's exports. Pure: no I/O, no clock, no randomness. A caller reserves words, writes a request there, and reads the
// answer where `plan` says; one instance serves one request, since memory is never given back.
import { encodeMalformed, encodeNoRoom, encodePlanned } from './answer';
import { Planner } from './plan';
import { decodeRequest, encodeRequest, Reader, Writer } from './wire';

/** A request of more words is not a model. */
const MAX_WORDS: i32 = 1 << 24;

let request: StaticArray<f64> = [];
let answered: i32 = 0;

/** Where to write a request of so many words; 0: that is too many. */
export function reserve(words: i32): usize {
  if (words < 0 || words > MAX_WORDS) return 0;
  request = new StaticArray<f64>(words);
  return changetype<usize>(request);
}

/** Plans the request; returns where the answer's words are. */
export function plan(): usize {
  const reader = new Reader(changetype<usize>(request), request.length);
  const decoded = decodeRequest(reader);
  if (reader.refused >= 0) return answer(encodeMalformed(reader.refused));
  const planner = new Planner(decoded);
  planner.run();
  const best = planner.best;
  return answer(best ? encodePlanned(decoded, best, planner.bound) : encodeNoRoom());
}

/** The request as this side understood it, for the test that both ends agree. */
export function echo(): usize {
  const reader = new Reader(changetype<usize>(request), request.length);
  const decoded = decodeRequest(reader);
  return answer(reader.refused >= 0 ? encodeMalformed(reader.refused) : encodeRequest(decoded));
}

/** How many words the last answer has. */
export function words(): i32 {
  return answered;
}

function answer(writer: Writer): usize {
  answered = writer.words.length;
  return writer.pointer;
}
