package dev.performer;

import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;

/** Reads as {@link Files} does, but no pipes and devices, which may wait or go on without end. */
public final class RegularFiles {
  private RegularFiles() {}

  /** Refuses what is missing or no regular file; {@link AtomicFiles#describe} tells which. */
  public static void require(Path file) throws IOException {
    if (!Files.exists(file)) {
      throw new NoSuchFileException(file.toString());
    } else if (!Files.isRegularFile(file)) {
      String kind = Files.isDirectory(file) ? "a directory" : "a pipe or a device, not a file";
      throw new FileSystemException(file.toString(), null, "it is " + kind);
    }
  }

  public static byte[] readAllBytes(Path file) throws IOException {
    require(file);
    return Files.readAllBytes(file);
  }

  public static String readString(Path file) throws IOException {
    require(file);
    return Files.readString(file);
  }

  public static List<String> readAllLines(Path file) throws IOException {
    require(file);
    return Files.readAllLines(file);
  }

  public static InputStream newInputStream(Path file) throws IOException {
    require(file);
    return Files.newInputStream(file);
  }

  public static FileChannel open(Path file) throws IOException {
    require(file);
    return FileChannel.open(file, StandardOpenOption.READ);
  }
}
