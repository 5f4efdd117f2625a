import fs from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(__dirname, "..");

/** Paths that this process has opened to read. */
const opened = new Set<string>();

// A program may open any file, in transform.ts for instance: only what it really opens tells which.
for (const name of ["readFileSync", "readFile", "openSync", "open", "createReadStream"] as const)
  Object.assign(fs, { [name]: noting(fs[name]) });
for (const name of ["readFile", "open"] as const)
  Object.assign(fs.promises, { [name]: noting(fs.promises[name]) });

/** The same function, with a note of the path that it is called with. */
function noting<F extends object>(read: F): F {
  return new Proxy(read, {
    apply(target, self, args: unknown[]) {
      const [path] = args;
      if (typeof path === "string") opened.add(resolve(path));
      if (path instanceof URL) opened.add(fileURLToPath(path));
      return Reflect.apply(target as () => unknown, self, args);
    },
  });
}

/** Folders of the project that hold nothing of its own. */
const notOwn = ["node_modules", ".git", ".cache"];

/**
 * Files of the project that this process was made of, or has read: modules and all else.
 * @param others that other processes have read for it, relative to the project.
 */
export function filesRead(others: readonly string[]): string[] {
  const all = [...Object.keys(require.cache), ...opened, ...others.map((file) => join(root, file))];
  const own = all.flatMap((file) => {
    const path = relative(root, file);
    const isOwn = !path.startsWith("..") && !path.split(sep).some((part) => notOwn.includes(part));
    return isOwn && fs.statSync(file, { throwIfNoEntry: false })?.isFile() ? [path] : [];
  });
  return [...new Set(own)].sort();
}
