/** Which members of `TextTokens.spans` are lines; each is followed by a character of that line. */
export const isLine = (member: number): boolean => member % 5 === 0 || member % 5 === 2;
