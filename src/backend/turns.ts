// The memory through which the host takes its turn in the middle of a device's work: native/turns.h says how.

/** Byte of the word in which the device says whose turn it is, and of that in which the host says that it has been done. */
export const DEVICE_WORD = 0;
export const HOST_WORD = 128;
/** The data begins here. */
export const TURN_HEADER = 256;

/** Whether a word says that a turn, or one behind it, has come. Numbers are u32, and wrap around. */
export function hasCome(word: number, turn: number): boolean {
  return ((word - turn) | 0) >= 0;
}
