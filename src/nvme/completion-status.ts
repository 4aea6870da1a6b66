// What a drive says of a command that failed, as a sentence: NVM Express Base Specification 2.0, section 3.3.3.2.1, and the NVM
// Command Set Specification 1.0, section 3.
export interface StatusSentence {
  readonly message: string;
  readonly advice: string;
}

const REPORT =
  "this is a bug in ntx, or the drive departs from the specification: please report it with the drive's model";
const RETRY = 'try again; if it stays, look at the drive with `nvme smart-log`';
const DAMAGED = 'copy the model to another place of the drive, or to another drive; `nvme smart-log` shows its health';
const BUSY = 'wait until the drive has ended its maintenance, then try again';
const LINK = 'check the seat of the drive, its cable or riser, and the kernel log for PCIe errors';

/** Statuses that are no fault of the drive's media are ours, passing, or the link's. */
const SENTENCES: Readonly<Record<number, Readonly<Record<number, readonly [message: string, advice: string]>>>> = {
  // Generic command status
  0: {
    0: ['the command succeeded', REPORT],
    1: ['the drive does not know the command', REPORT],
    2: ['the drive refuses a field of the command (a transfer above its limit is one)', REPORT],
    3: ['the drive sees a command number in use twice', REPORT],
    4: ['the drive could not write the data to memory', LINK],
    5: ['the drive gave the command up because its power is going away', 'check the power supply'],
    6: ['the drive had an internal error', RETRY],
    7: ['the command was aborted on request', RETRY],
    8: ['the command ended with its queue', RETRY],
    9: ['the first of two fused commands failed', REPORT],
    10: ['one of two fused commands is missing', REPORT],
    11: ['the drive has no such namespace', 'map the model again: ntx nvme map'],
    12: ['the drive refuses the order of the commands', REPORT],
    13: ['the drive refuses a scatter-gather segment', REPORT],
    14: ['the drive refuses the number of scatter-gather descriptors', REPORT],
    15: ['the drive refuses the length of the data', REPORT],
    16: ['the drive refuses the length of the metadata', REPORT],
    17: ['the drive refuses a type of scatter-gather descriptor', REPORT],
    18: ['the drive refuses an address in its own memory', REPORT],
    19: ['the drive refuses the alignment of an address', REPORT],
    20: ['the command exceeds the atomic unit', REPORT],
    21: ['the drive denies the access', 'unlock the drive: it is protected by a password or by its owner'],
    22: ['the drive refuses a scatter-gather offset', REPORT],
    24: ["the drive refuses the form of the host's identifier", REPORT],
    25: ["the drive missed the host's sign of life", RETRY],
    26: ['the drive refuses the interval of signs of life', REPORT],
    27: ["another host's reservation ended the command", 'release the reservation: `nvme resv-report`'],
    28: ['the last sanitizing of the drive failed', 'repeat or end it: `nvme sanitize-log`'],
    29: ['the drive is being sanitized', BUSY],
    30: ['the drive refuses the granularity of a scatter-gather block', REPORT],
    31: ['the drive does not take the command from this queue', REPORT],
    32: ['the namespace is write protected', REPORT],
    33: ['the drive interrupted the command, which may be repeated', RETRY],
    34: ['the way to the drive failed for a moment', LINK],
    35: ["the command is locked by the drive's administrator", 'lift the lockdown of the drive'],
    36: ["the drive's media are not ready yet", BUSY],
    128: ['the read lies beyond the end of the drive', 'map the model again: ntx nvme map'],
    129: ["the command exceeds the namespace's capacity", 'map the model again: ntx nvme map'],
    130: ['the namespace is not ready', BUSY],
    131: ['another host has reserved the namespace', 'release the reservation: `nvme resv-report`'],
    132: ['the drive is being formatted', BUSY],
  },
  // Command specific status
  1: {
    0: ['the drive does not know the completion queue', REPORT],
    1: ['the drive refuses the number of a queue', REPORT],
    2: ['the drive refuses the size of a queue', REPORT],
    3: ['the drive takes no more aborts at once', RETRY],
    8: ['the drive refuses an interrupt vector', REPORT],
    12: ['the command would need a reset that it may not ask for', REPORT],
    14: ['the drive does not let this setting be changed', REPORT],
    128: ["the command's attributes contradict each other", REPORT],
    129: ['the drive refuses the settings of data protection', REPORT],
  },
  // Media and data integrity errors
  2: {
    128: ['the drive failed to write', DAMAGED],
    129: ['the drive cannot read these bytes any more (an unrecovered media error)', DAMAGED],
    130: ['the data does not match its guard', DAMAGED],
    131: ['the data does not match its application tag', DAMAGED],
    132: ['the data does not match its reference tag', DAMAGED],
    133: ['a comparison failed', REPORT],
    134: ['the drive denies access to these bytes', 'unlock the drive: this range is protected'],
    135: [
      'these bytes were erased (deallocated) or never written',
      'the file was moved or removed: map the model again',
    ],
    136: ['the data does not match its storage tag', DAMAGED],
  },
  // Path related status
  3: {
    0: ['the way to the drive had an internal error', LINK],
    1: ['this way to the drive is lost for good', LINK],
    2: ['the namespace cannot be reached on this way', LINK],
    3: ['the way to the namespace is being changed', RETRY],
    96: ['the controller found an error on its way to the drive', LINK],
    112: ['the host found an error on its way to the drive', LINK],
    113: ['the host ended the command', RETRY],
  },
};

const TYPES = ['general', 'command specific', 'media', 'path', 'reserved', 'reserved', 'reserved', 'vendor specific'];

/** A sentence for every status type (3 bits) and code (8 bits); those without a meaning of their own are named by number. */
export function statusSentence(type: number, code: number): StatusSentence {
  const known = SENTENCES[type]?.[code];
  const number = `status ${type}/0x${code.toString(16).padStart(2, '0')}`;
  if (known) return { message: `${known[0]} (${number})`, advice: known[1] };
  const kind = type === 0 && code >= 0xc0 ? 'vendor specific' : TYPES[type];
  return {
    message: `the drive answered with a ${kind} ${number}, which the specification gives no meaning`,
    advice: "look the number up in the drive's manual",
  };
}
