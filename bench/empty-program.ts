/** A program that makes nothing. */
export = async () => ({});
