/** Bytes in the unit that suits them: "798 kB", "3.51 GB". */
export function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  const power = Math.min(4, Math.floor(Math.log10(count) / 3));
  return `${(count / 1000 ** power).toPrecision(3)} ${"kMGT"[power - 1]}B`;
}

/** Seconds in words: "0.8 s", "42 s", "3 min 20 s", "2 h 5 min". */
export function duration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** A number with a thin mark between thousands, the same in every locale: "877,960,000". */
export function grouped(count: number): string {
  return count.toLocaleString("en-US");
}

/** So many of something, by its name in the singular: "1 image", "3 images". */
export function counted(count: number, name: string): string {
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}
