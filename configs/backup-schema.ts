import * as z from "zod";
import { durationPattern, durationUnit, durationWithin } from "./units";
import { text } from "./validation";

const placeForms =
  "write the path of a folder on the site's host, sftp:user@host:/path, s3:https://host/bucket or " +
  "rest:https://host/path";

const placePattern =
  /^(\/[^\s'"\\$`:]*|sftp:[\w.-]+@[\w.-]+:\/?[\w./-]+|sftp:\/\/[\w.-]+@[\w.-]+(:\d+)?\/[\w./-]+|s3:(https?:\/\/)?[\w.-]+(:\d+)?\/[\w./-]+|rest:https?:\/\/[\w.-]+(:\d+)?\/[\w./-]*)$/;

/** Backups of each age that are kept at least; the newest of a day, week, month or year. */
const kept = (preset: number, what: string) =>
  z
    .int()
    .min(0)
    .max(1000)
    .default(preset)
    .meta({ description: `Of how many ${what} the last backup is kept.`, examples: [2 * preset] });

/** The backup of a site. */
export const backupSchema = z
  .strictObject({
    to: text(placePattern, placeForms).meta({
      description:
        "Where the backups are kept: a folder of the host, on a disk of its own; an SFTP server; S3 " +
        "or what speaks its protocol; a REST server of restic's.",
      examples: [
        "/mnt/usb/bess",
        "sftp:backup@nas.lan:/backups/kiel-1",
        "s3:https://s3.example.com/bess/kiel-1",
        "rest:https://backup.example.com/kiel-1",
      ],
    }),
    every: text(durationPattern, "write a duration such as 1d")
      .refine(durationWithin("1h", "31d"), "write from 1h to 31d")
      .default("1d")
      .meta({
        description: "Time between two backups. One that was missed is made up.",
        unit: durationUnit,
        examples: ["6h"],
      }),
    keep: z
      .strictObject({
        daily: kept(7, "days"),
        weekly: kept(5, "weeks"),
        monthly: kept(12, "months"),
        yearly: kept(10, "years"),
      })
      .prefault({})
      .refine((keep) => Object.values(keep).some((count) => count > 0), "keep one backup at least"),
    password: z
      .string()
      .min(12, "write 12 characters or more")
      .optional()
      .meta({
        description:
          "Password that encrypts the backups: without it nothing of them can be read. A site with " +
          "backups must have one. Set it with `pulumi config set --secret`, and keep a copy away from " +
          "the site and from this machine.",
        examples: ["correct-horse-battery-staple"],
      }),
    sameDisk: z
      .boolean()
      .default(false)
      .describe(
        "Whether the folder may be on the disk that holds the site's own data. " +
          "Such a backup is lost with the disk.",
      ),
    login: z
      .strictObject({
        user: z
          .string()
          .min(1)
          .meta({
            description: "User of a REST server, or access key id of S3.",
            examples: ["kiel-1"],
          }),
        password: z
          .string()
          .min(1)
          .meta({
            description:
              "The user's password, or the secret access key. Set it with `pulumi config set --secret`.",
            examples: ["wJalrXUtnFEMI"],
          }),
      })
      .optional()
      .describe("Login at S3 or at a REST server. Without it: none."),
    ssh: z
      .strictObject({
        key: z
          .string()
          .regex(/-----BEGIN [A-Z ]*PRIVATE KEY-----[^]+-----END [A-Z ]*PRIVATE KEY-----/, {
            error: "paste a private key without a passphrase, from -----BEGIN to -----END",
            abort: true,
          })
          .meta({
            description:
              "Private key of the SFTP user, without a passphrase. " +
              "Set it with `pulumi config set --secret`.",
            examples: ["-----BEGIN OPENSSH PRIVATE KEY-----\n…\n-----END OPENSSH PRIVATE KEY-----"],
          }),
        knownHosts: z
          .string()
          .regex(/^\S+ (ssh-|ecdsa-|sk-)\S+ \S+/m, "paste what ssh-keyscan prints of the server")
          .meta({
            description: "The server's host keys, as `ssh-keyscan` prints them.",
            examples: ["nas.lan ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI…"],
          }),
      })
      .optional()
      .describe("How the site logs in at an SFTP server."),
  })
  .superRefine((backup, context) => {
    const refuse = (key: string, message: string) =>
      context.addIssue({ code: "custom", path: [key], message });
    const kind = kindOf(backup.to);
    if (kind === "sftp" && !backup.ssh)
      refuse("ssh", "an SFTP server needs ssh.key and ssh.knownHosts");
    if (kind !== "sftp" && backup.ssh) refuse("ssh", "only a place that begins with sftp: has it");
    if (kind === "s3" && !backup.login) refuse("login", "S3 needs login.user and login.password");
    if ((kind === "folder" || kind === "sftp") && backup.login)
      refuse("login", "only a place that begins with s3: or rest: has it");
    if (kind !== "folder" && backup.sameDisk)
      refuse("sameDisk", "only a folder of the host has it");
  });

/** A site's backup. */
export type BackupConfig = z.output<typeof backupSchema>;

/** Why a site's backups are refused: nobody could read them. A fleet's file leaves it to the stack's. */
export const backupFindings = ({
  backup,
}: {
  backup?: Pick<BackupConfig, "password"> | undefined;
}): string[] =>
  backup && backup.password === undefined
    ? [
        "backup.password is not set: choose one of 12 characters or more, set it with pulumi config set " +
          "--secret, and keep a copy away from the site and from this machine",
      ]
    : [];

/** What kind of place `to` is. */
export const kindOf = (to: string): "folder" | "sftp" | "s3" | "rest" =>
  (/^(sftp|s3|rest):/.exec(to)?.[1] as "sftp" | "s3" | "rest" | undefined) ?? "folder";
