package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * The files that gin configurations include, one inside the other: only those of the first one's
 * folder and the folders in it, links followed.
 */
final class GinIncludes {
  private static final int MAX_DEPTH = 20;
  private static final int MAX_FILES = 200;

  private final Path folder;
  private final Deque<Path> open = new ArrayDeque<>();
  private int files;

  GinIncludes(Path first) {
    folder = real(first.toAbsolutePath().getParent());
    open.push(real(first));
  }

  /**
   * The file that another one includes, by its place relative to that.
   *
   * @throws PerformerException if there is none, it includes itself, or there are too many; the
   *     line is not named
   */
  Path enter(Path from, String name) {
    Path place;
    try {
      place = from.resolveSibling(name).normalize();
    } catch (InvalidPathException e) {
      throw new PerformerException("this is no path", e);
    }
    require(
        isInside(place),
        "the file lies outside of %s, and only those in it are read; copy it there, or write its"
            + " bindings into the file that includes it",
        folder);
    require(
        !name.isBlank() && Files.isRegularFile(place),
        "there is no file %s; put it there, or write its bindings into the file that includes it",
        place);
    Path real = real(place);
    require(!open.contains(real), "this file is being read already: it includes itself");
    require(
        open.size() <= MAX_DEPTH && ++files <= MAX_FILES,
        "more than %s files inside each other, or %s in all, are not read",
        MAX_DEPTH,
        MAX_FILES);
    open.push(real);
    return place;
  }

  /** Whether a file, links followed, lies in the folder of the first one. */
  boolean isInside(Path file) {
    return real(file).startsWith(folder);
  }

  /** The file that was entered last has been read. */
  void leave() {
    open.pop();
  }

  private static Path real(Path file) {
    try {
      return file.toRealPath();
    } catch (IOException e) {
      return file.toAbsolutePath().normalize(); // a text that is no file
    }
  }
}
