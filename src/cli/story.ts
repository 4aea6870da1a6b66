// How `ntx run` begins a story. From nothing but BOS the embedded model begins in the middle of some chapter, because half
// of what it was trained on does.

/** Written for ntx. Each ends with a whole word that no other word begins with, so that the story goes on from there. */
const OPENINGS = [
  'Once upon a time there was a king who had three daughters, and the youngest',
  'There was once a poor woodcutter who found in the forest a',
  'In the middle of a great forest there stood a little cottage, and in it lived a',
  'One fine morning in spring a fox set out to',
  'Long ago, in a town beyond the mountains, there lived a clockmaker who',
  'On the last day of the year a stranger came to the inn and',
  'When I was a boy my uncle told me of an island that',
  'Nobody in the village knew why the old miller never',
  'It was a dark and stormy night, and the captain of the ship',
  'Far out at sea, on a rock no larger than a barn, there lived an old woman who',
  'The first snow had fallen when the two brothers set out for',
  'There was once a little girl who could talk with',
];

/** The same seed begins the same story. */
export function storyOpening(seed: number): string {
  return OPENINGS[seed % OPENINGS.length];
}
