/** Version of a provider's package: an engine takes a plugin of exactly this version. */
export const versionOf = (name: string): string =>
  require(`${name}/package.json`).version.replace(/^v/, "");
