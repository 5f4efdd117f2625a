/** Ports inside vmauth's container: what sites reach, and what the hub's own programs do. */
export const ports = { entrance: 8427, internal: 8426 } as const;
