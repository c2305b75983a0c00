package dev.performer;

import static java.nio.file.StandardCopyOption.ATOMIC_MOVE;
import static java.nio.file.StandardCopyOption.REPLACE_EXISTING;
import static java.nio.file.StandardOpenOption.CREATE_NEW;
import static java.nio.file.StandardOpenOption.WRITE;

import java.io.EOFException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Stream;

/** Files that are written beside their place, as {@code .…part-…}, and moved there when whole. */
public final class AtomicFiles {
  /** Gives a file its content. */
  public interface Writer {
    void write(OutputStream out) throws IOException;
  }

  private AtomicFiles() {}

  /** Writes a file in a directory that is there; if it fails, what was there is unchanged. */
  public static void write(Path file, Writer writer) throws IOException {
    Path part = beside(file, "part");
    try {
      try (OutputStream out = Files.newOutputStream(part, CREATE_NEW, WRITE)) {
        writer.write(out);
      }
      force(part);
      move(part, file);
    } finally {
      discard(part);
    }
  }

  public static void write(Path file, byte[] content) throws IOException {
    write(file, out -> out.write(content));
  }

  /** Brings a file's content to the disk. */
  public static void force(Path file) throws IOException {
    try (FileChannel channel = FileChannel.open(file, WRITE)) {
      channel.force(true);
    }
  }

  /** Moves a file or a directory in one step; a file that is there is replaced. */
  public static void move(Path from, Path to) throws IOException {
    Files.move(from, to, ATOMIC_MOVE, REPLACE_EXISTING);
  }

  /** A new directory in which something is written that shall be moved to its place later. */
  public static Path createDirectoryBeside(Path place) throws IOException {
    return Files.createDirectory(beside(place, "part"));
  }

  /** A hidden name that nothing has, in the directory of a place, with a word in it. */
  public static Path beside(Path place, String what) {
    String random = Long.toHexString(ThreadLocalRandom.current().nextLong());
    return place.resolveSibling("." + place.getFileName() + "." + what + "-" + random);
  }

  /** Deletes a file, or a directory with everything in it; nothing if there is none. */
  public static void delete(Path root) throws IOException {
    if (Files.exists(root, LinkOption.NOFOLLOW_LINKS)) {
      try (Stream<Path> walk = Files.walk(root)) {
        for (Path path : walk.sorted(Comparator.reverseOrder()).toList()) {
          Files.deleteIfExists(path);
        }
      }
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
    String message = e.getMessage();
    if (e instanceof AccessDeniedException) {
      return "no permission for " + message;
    } else if (e instanceof FileAlreadyExistsException || e instanceof NotDirectoryException) {
      return message + " exists and is not a directory";
    } else if (e instanceof NoSuchFileException) {
      return "no file or directory " + message;
    } else if (e instanceof EOFException) {
      return "it ends too early";
    } else if (e instanceof FileSystemException f && f.getReason() != null) {
      return f.getReason();
    }
    return message == null ? "the system gives no reason" : message;
  }
}
