package dev.performer;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;

/**
 * Reads files of models, checkpoints and runs. They must be regular files: reading a pipe or a
 * device in their place may wait, or go on, without end.
 */
public final class RegularFiles {
  private RegularFiles() {}

  /**
   * Refuses what is no regular file. Symbolic links are followed.
   *
   * @throws IOException if it is missing or of another kind; {@link AtomicFiles#describe} tells
   *     which
   */
  public static void require(Path file) throws IOException {
    if (Files.isRegularFile(file)) {
      return;
    }
    if (Files.isDirectory(file)) {
      throw new FileSystemException(file.toString(), null, "it is a directory");
    }
    if (Files.exists(file)) {
      throw new FileSystemException(file.toString(), null, "it is a pipe or a device, not a file");
    }
    throw new NoSuchFileException(file.toString());
  }

  /** All bytes of a file. @throws IOException as {@link #require} does, or if it cannot be read */
  public static byte[] readAllBytes(Path file) throws IOException {
    require(file);
    return Files.readAllBytes(file);
  }

  /** The UTF-8 text of a file. @throws IOException as {@link #readAllBytes} does */
  public static String readString(Path file) throws IOException {
    require(file);
    return Files.readString(file);
  }

  /** The lines of a UTF-8 file. @throws IOException as {@link #readAllBytes} does */
  public static List<String> readAllLines(Path file) throws IOException {
    require(file);
    return Files.readAllLines(file);
  }

  /** Reads a file from its beginning. @throws IOException as {@link #readAllBytes} does */
  public static InputStream newInputStream(Path file) throws IOException {
    require(file);
    return Files.newInputStream(file);
  }

  /** Reads a UTF-8 file from its beginning. @throws IOException as {@link #readAllBytes} does */
  public static BufferedReader newBufferedReader(Path file) throws IOException {
    require(file);
    return Files.newBufferedReader(file);
  }

  /** Reads a file at any place. @throws IOException as {@link #readAllBytes} does */
  public static FileChannel open(Path file) throws IOException {
    require(file);
    return FileChannel.open(file, StandardOpenOption.READ);
  }
}
