package dev.performer.data;

import java.nio.file.Path;
import java.util.Arrays;

/** The kinds of files that hold rows, known by their names. */
public enum RowFormat {
  /** A table as text, by commas or tabs, gzipped or not. */
  CSV("(?i).*\\.[ct]sv(\\.gz)?"),
  /** A table of typed columns. */
  PARQUET("(?i).*\\.(parquet|parq|pq)"),
  /** Arrays of NumPy, whose first dimension are the rows. */
  NPZ("(?i).*\\.npz"),
  /** A sequence or text a line. */
  LINES("(?i).*\\.txt(\\.gz)?"),
  /** Sequences with headers. */
  FASTA("(?i).*\\.(fasta|fa|faa|fas)(\\.gz)?");

  private final String pattern;

  RowFormat(String pattern) {
    this.pattern = pattern;
  }

  private boolean isNamed(Path file) {
    return file.toString().matches(pattern);
  }

  /** Whether a name tells what is in the file. */
  static boolean isKnown(Path file) {
    return Arrays.stream(values()).anyMatch(format -> format.isNamed(file));
  }

  /** What a file holds that is read: by its name, and of others FASTA or lines by its beginning. */
  public static RowFormat read(Path file) {
    for (RowFormat format : values()) {
      if (format.isNamed(file)) {
        return format;
      }
    }
    return SequenceSource.isLines(file) ? LINES : FASTA;
  }

  /** What a file holds that is written: by its name, and arrays in all others. */
  public static RowFormat written(Path file) {
    return CSV.isNamed(file) ? CSV : PARQUET.isNamed(file) ? PARQUET : NPZ;
  }

  /** Whether a name is that of a file that is written. */
  public static boolean isWritten(Path file) {
    return written(file).isNamed(file);
  }
}
