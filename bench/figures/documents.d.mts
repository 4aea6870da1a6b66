export const root: string;
export function documents(): string[];
export function readDocument(path: string): string;
export function tablesIn(markdown: string): string[];
export function refreshed(markdown: string): string;
