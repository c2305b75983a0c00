package dev.performer;

import java.io.EOFException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Stream;

/**
 * Files that stand in their place only when they are whole: they are written beside it, under a
 * hidden name that contains {@code .part-}, and moved there.
 */
public final class AtomicFiles {
  /** Gives a file its content. */
  public interface Writer {
    void write(OutputStream out) throws IOException;
  }

  private AtomicFiles() {}

  /**
   * Writes a file, or replaces it.
   *
   * @param file its directory must be there
   * @throws IOException if it cannot be written; what was there is unchanged then
   */
  public static void write(Path file, Writer writer) throws IOException {
    Path part = beside(file, "part");
    try {
      try (FileChannel channel =
              FileChannel.open(part, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
          OutputStream out = Channels.newOutputStream(channel)) {
        writer.write(out);
      }
      force(part);
      move(part, file);
    } finally {
      discard(part);
    }
  }

  /** Writes a file, or replaces it. @throws IOException as {@link #write(Path, Writer)} does */
  public static void write(Path file, byte[] content) throws IOException {
    write(file, out -> out.write(content));
  }

  /** Brings a file's content to the disk. */
  public static void force(Path file) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      channel.force(true);
    }
  }

  /** Moves a file or a directory in one step; a file that is there is replaced. */
  public static void move(Path from, Path to) throws IOException {
    Files.move(from, to, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  /** A new directory in which something is written that shall be moved to its place later. */
  public static Path createDirectoryBeside(Path place) throws IOException {
    return Files.createDirectory(beside(place, "part"));
  }

  /**
   * A hidden name that nothing has, in the directory of a place.
   *
   * @param what what is there for now, a part of the name
   */
  public static Path beside(Path place, String what) {
    String random = Long.toHexString(ThreadLocalRandom.current().nextLong());
    return place.resolveSibling("." + place.getFileName() + "." + what + "-" + random);
  }

  /** Deletes a file, or a directory with everything in it; nothing if there is none. */
  public static void delete(Path root) throws IOException {
    if (!Files.exists(root, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    List<Path> paths;
    try (Stream<Path> walk = Files.walk(root)) {
      paths = walk.sorted(Comparator.reverseOrder()).toList();
    }
    for (Path path : paths) {
      Files.deleteIfExists(path);
    }
  }

  /** Deletes as {@link #delete} does; failing is no matter, as only a hidden file is left. */
  public static void discard(Path root) {
    try {
      delete(root);
    } catch (IOException e) {
      // What was written is whole, or the first error is on its way and matters more.
    }
  }

  /** What went wrong with a file, in words: Java's own messages often hold the path alone. */
  public static String describe(IOException e) {
    if (e instanceof AccessDeniedException) {
      return "no permission for " + e.getMessage();
    }
    if (e instanceof FileAlreadyExistsException || e instanceof NotDirectoryException) {
      return e.getMessage() + " exists and is not a directory";
    }
    if (e instanceof NoSuchFileException) {
      return "no file or directory " + e.getMessage();
    }
    if (e instanceof EOFException) {
      return "it ends too early";
    }
    if (e instanceof FileSystemException f && f.getReason() != null) {
      return f.getReason();
    }
    return e.getMessage() == null ? "the system gives no reason" : e.getMessage();
  }
}
