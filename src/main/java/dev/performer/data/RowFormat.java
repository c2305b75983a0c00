package dev.performer.data;

import static dev.performer.PerformerException.require;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Collectors;

/** The kinds of files that hold rows, known by their names. */
public enum RowFormat {
  /** A table as text, by commas or tabs, gzipped or not. */
  CSV("(?i).*\\.[ct]sv(\\.gz)?", ".csv, .tsv, .csv.gz"),
  /** A table of typed columns. */
  PARQUET("(?i).*\\.(parquet|parq|pq)", ".parquet"),
  /** Arrays of NumPy, whose first dimension are the rows. */
  NPZ("(?i).*\\.npz", ".npz"),
  /** A sequence or text a line. */
  LINES("(?i).*\\.txt(\\.gz)?", ".txt"),
  /** Sequences with headers. */
  FASTA("(?i).*\\.(fasta|fa|faa|fas)(\\.gz)?", ".fasta(.gz)");

  private final String pattern;
  private final String names;

  RowFormat(String pattern, String names) {
    this.pattern = pattern;
    this.names = names;
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

  /** What a file shall hold that is written. @throws PerformerException if its name is no table's */
  public static RowFormat written(Path file) {
    for (RowFormat format : new RowFormat[] {CSV, PARQUET, NPZ}) {
      if (format.isNamed(file)) {
        return format;
      }
    }
    String all = Arrays.stream(values()).limit(3).map(f -> f.names).collect(Collectors.joining(", "));
    require(false, "%s: rows are written as %s; give a name that ends so", file, all);
    throw new IllegalStateException();
  }
}
