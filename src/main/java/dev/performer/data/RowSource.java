package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.regex.PatternSyntaxException;

/**
 * Rows of files, one after the other: a table, Parquet, FASTA, lines of text, or arrays of an
 * {@code .npz}. They can be read again and again, in the same order each time.
 *
 * @param files in their order
 * @param columns what is read of them
 * @param pad the id of padding in arrays, if there is one
 * @param fields the id, where it is read, and what is kept
 */
public record RowSource(List<Path> files, Columns columns, OptionalInt pad, List<Field> fields) {
  /**
   * The columns of a table that are read.
   *
   * @param text with sequences, texts or, in Parquet, token ids; null for the first of {@code
   *     sequence}, {@code text} and {@code tokens} that is there
   * @param id null for {@code id}, or numbers from 1 where that is not there
   * @param kept which stand beside a row's results
   * @param arrays of an {@code .npz} that are no sequences; then all others are unused
   */
  public record Columns(String text, String id, List<String> kept, List<String> arrays) {
    /** What is there by its usual names. */
    public static final Columns DEFAULT = new Columns(null, null, List.of(), List.of());

    /** The same on arrays that are no sequences. */
    public Columns ofArrays(List<String> names) {
      return new Columns(text, id, kept, names);
    }

    /** The same with columns kept. */
    public Columns keeping(List<String> names) {
      return new Columns(text, id, names, arrays);
    }
  }

  /**
   * Finds the files and reads what they hold, of the first one.
   *
   * @param places files; folders, with all files in them whose name is that of such a file; and
   *     patterns, such as {@code parts/*.csv}. Names that begin with a dot or an underscore are
   *     left out of folders and patterns.
   * @throws PerformerException if there is none, or a column is not there
   */
  public static RowSource of(List<Path> places, Columns columns, OptionalInt pad) {
    List<Path> files = new ArrayList<>();
    places.forEach(place -> files.addAll(files(place)));
    require(!files.isEmpty(), "no file is given");
    RowSource source = new RowSource(List.copyOf(files), columns, pad, List.of());
    try (RowFile first = source.open(files.get(0))) {
      return new RowSource(source.files, columns, pad, first.fields());
    }
  }

  /** Whether the rows of these files hold token ids, not texts. */
  public static boolean isIds(List<Path> places, Columns columns) {
    try (RowFile first = RowFile.open(files(places.get(0)).get(0), columns, OptionalInt.empty())) {
      return first.isIds();
    }
  }

  private static List<Path> files(Path place) {
    boolean isFolder = Files.isDirectory(place);
    boolean isPattern = place.toString().matches(".*[*?\\[{].*") && !Files.exists(place);
    if (!isFolder && !isPattern) {
      DataFile.require(place);
      return List.of(place);
    }
    Path root = isFolder ? place : fixed(place);
    require(Files.isDirectory(root), "%s: no such file or directory", place);
    PathMatcher matcher = isFolder ? RowFormat::isKnown : matcher(place);
    List<Path> found =
        DataFile.list(
            root, Integer.MAX_VALUE, file -> matcher.matches(file) && isShown(root, file));
    String none = isFolder ? "%s: holds no file of rows" : "%s: no file has such a name";
    require(!found.isEmpty(), none, place);
    return found;
  }

  private static boolean isShown(Path root, Path file) {
    for (Path part : root.equals(file) ? file : root.relativize(file)) {
      if (part.toString().matches("[._].*")) {
        return false;
      }
    }
    return true;
  }

  private static PathMatcher matcher(Path pattern) {
    try {
      boolean isBare = pattern.getParent() == null;
      Path all = isBare ? Path.of("").resolve(pattern) : pattern;
      return FileSystems.getDefault().getPathMatcher("glob:" + all);
    } catch (PatternSyntaxException | InvalidPathException e) {
      throw new PerformerException(pattern + ": is no pattern of file names", e);
    }
  }

  /** The folder before the first part with a wildcard. */
  private static Path fixed(Path pattern) {
    Path root = pattern.isAbsolute() ? pattern.getRoot() : Path.of("");
    for (Path part : pattern) {
      if (part.toString().matches(".*[*?\\[{].*")) {
        break;
      }
      root = root.resolve(part);
    }
    return root;
  }

  /** What a message calls it. */
  public String name() {
    return files.get(0) + (files.size() == 1 ? "" : " and " + (files.size() - 1) + " more");
  }

  private RowFile open(Path file) {
    return RowFile.open(file, columns, pad);
  }

  /** Starts behind some rows; the caller closes it. */
  public Rows open(long behind) {
    return new Rows(behind);
  }

  /** Rows of all files. */
  public final class Rows implements AutoCloseable {
    private final double[] done = new double[files.size() + 1]; // bytes before each file
    private int next;
    private RowFile current;
    private long count;

    private Rows(long behind) {
      for (int i = 0; i < files.size(); i++) {
        done[i + 1] = done[i] + Math.max(1, size(files.get(i)));
      }
      while (count < behind && (current != null || advance())) {
        long over = current.skip(behind - count);
        count += over;
        if (count < behind) {
          close();
        }
      }
    }

    private static double size(Path file) {
      try {
        return DataFile.isStandardInput(file) ? 1 : Files.size(file);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    private boolean advance() {
      if (next == files.size()) {
        return false;
      }
      current = RowSource.this.open(files.get(next++));
      current.numberFrom(count);
      List<Field> own = current.fields();
      for (int i = 0; i < fields.size(); i++) {
        Field expected = fields.get(i);
        Field found = i < own.size() ? own.get(i) : null;
        boolean isSame = expected.equals(found);
        String differs =
            "%s: the column '%s' is %s, but %s in %s; files that are read together have the same columns";
        Object here = found == null ? "missing" : found.typeLabel();
        Path file = files.get(next - 1);
        require(isSame, differs, file, expected.name(), here, expected.typeLabel(), files.get(0));
      }
      return true;
    }

    /** The next row; null behind the last. */
    public Row next() {
      while (current != null || advance()) {
        Row row = current.next();
        if (row != null) {
          count++;
          return row;
        }
        close();
      }
      return null;
    }

    /** Which part of all has been read, from 0 to 1; an estimate by bytes. */
    public double fraction() {
      double before = done[Math.max(0, next - 1)];
      double own = current == null ? 1 : current.fraction();
      double part = next == 0 ? 0 : before + own * (done[next] - before);
      return part / done[files.size()];
    }

    @Override
    public void close() {
      if (current != null) {
        current.close();
        current = null;
      }
    }
  }
}
