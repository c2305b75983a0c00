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

  /** The file that another one includes, by its place relative to that; errors name no line. */
  Path enter(Path from, String name) {
    Path place;
    try {
      place = from.resolveSibling(name).normalize();
    } catch (InvalidPathException e) {
      throw new PerformerException("this is no path", e);
    }
    require(isInside(place), "it lies outside of %s, where all files must be", folder);
    boolean isThere = !name.isBlank() && Files.isRegularFile(place);
    require(isThere, "there is no file %s; put it there, or leave the line out", place);
    Path real = real(place);
    require(!open.contains(real), "this file is being read already: it includes itself");
    String tooMany = "more than %s files inside each other, or %s in all, are not read";
    boolean fits = open.size() <= MAX_DEPTH && ++files <= MAX_FILES;
    require(fits, tooMany, MAX_DEPTH, MAX_FILES);
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
