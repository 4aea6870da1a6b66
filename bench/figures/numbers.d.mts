export interface FigureLink {
  readonly whole: string;
  readonly text: string;
  readonly file: string;
  readonly path: string;
}

export function figureLinks(markdown: string): FigureLink[];
export function corrected(link: FigureLink): string | null;
