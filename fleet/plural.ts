/** A count in words: `1 site`, `2 sites`. */
export const plural = (count: number, what: string): string =>
  `${count} ${what}${count === 1 ? "" : "s"}`;
