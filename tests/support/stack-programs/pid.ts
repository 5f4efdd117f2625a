/** A program that makes nothing, and tells which process has run it. */
export = async () => ({ pid: process.pid });
