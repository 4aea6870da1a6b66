export const VERSION: string;
export function llamaPackage(withCuda: boolean): string;
