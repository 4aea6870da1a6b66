// The planner's exports. Pure: no I/O, no clock, no randomness.
export { alignedBegin, alignedEnd } from './extents';
