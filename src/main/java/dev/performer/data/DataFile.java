package dev.performer.data;

import dev.performer.PerformerException;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.CharacterCodingException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.zip.GZIPInputStream;
import java.util.zip.ZipException;

/** Opening files of data, gzipped or not, and saying in one line why one cannot be read. */
final class DataFile {
  private static final int BUFFER = 1 << 16;

  private DataFile() {}

  /**
   * The bytes of a file, unpacked if its first bytes are gzip's.
   *
   * @param expected what the file should be, such as "a FASTA file"
   * @throws PerformerException if it cannot be read
   */
  static InputStream open(Path file, String expected) {
    return open(file, expected, true);
  }

  /** The bytes of a file as they are. */
  static InputStream openPlain(Path file, String expected) {
    return open(file, expected, false);
  }

  private static InputStream open(Path file, String expected, boolean unpack) {
    if (Files.isDirectory(file)) {
      throw new PerformerException(file + " is a directory; expected " + expected);
    }
    InputStream raw = null;
    try {
      raw = new BufferedInputStream(Files.newInputStream(file), BUFFER);
      raw.mark(2);
      boolean gzipped = unpack && raw.read() == 0x1f && raw.read() == 0x8b;
      raw.reset();
      return gzipped ? new BufferedInputStream(new GZIPInputStream(raw, BUFFER), BUFFER) : raw;
    } catch (NoSuchFileException e) {
      throw new PerformerException(file + " does not exist; expected " + expected, e);
    } catch (IOException e) {
      PerformerException failure = unreadable(file, e);
      try {
        if (raw != null) {
          raw.close();
        }
      } catch (IOException suppressed) {
        failure.addSuppressed(suppressed);
      }
      throw failure;
    }
  }

  /**
   * All of a file, unpacked. Memory grows with what is really there.
   *
   * @throws PerformerException if it is longer than {@code limit}, whatever its size on disk
   */
  static byte[] readAll(Path file, String expected, int limit) {
    try (InputStream in = open(file, expected)) {
      ByteArrayOutputStream out = new ByteArrayOutputStream(BUFFER);
      byte[] block = new byte[BUFFER];
      for (int n = in.read(block); n >= 0; n = in.read(block)) {
        if (out.size() > limit - n) {
          throw new PerformerException(
              file + " unpacks to more than " + limit + " bytes; split it into smaller files");
        }
        out.write(block, 0, n);
      }
      return out.toByteArray();
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  /** Why a file could not be read. */
  static PerformerException unreadable(Path file, IOException e) {
    if (e instanceof EOFException) {
      return new PerformerException(
          file + " ends inside its gzip stream: it is cut off; copy or download it again", e);
    }
    if (e instanceof ZipException) {
      return new PerformerException(file + " is a damaged gzip file: " + e.getMessage(), e);
    }
    if (e instanceof CharacterCodingException) {
      return new PerformerException(file + " holds bytes that are no UTF-8; expected text", e);
    }
    if (e instanceof AccessDeniedException) {
      return new PerformerException(file + ": no permission to read it", e);
    }
    return new PerformerException("cannot read " + file + ": " + e.getMessage(), e);
  }

  /** Closes what was read from a file. */
  static void close(Path file, AutoCloseable in) {
    try {
      in.close();
    } catch (Exception e) {
      throw new PerformerException("cannot close " + file + ": " + e.getMessage(), e);
    }
  }
}
