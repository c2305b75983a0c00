package dev.performer.data;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.RegularFiles;
import java.io.BufferedInputStream;
import java.io.BufferedReader;
import java.io.EOFException;
import java.io.FileInputStream;
import java.io.FilterInputStream;
import java.io.FilterReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.Reader;
import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Predicate;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;
import java.util.zip.ZipException;

/**
 * Files of data, gzipped or not: they are opened, or one line tells why they cannot be. {@code -}
 * and {@code /dev/stdin} are the standard input, which is copied into a temporary file once, so
 * that it can be read again like any other.
 */
public final class DataFile {
  private static final int BUFFER = 1 << 16;
  private static final Map<Path, Path> COPIES = new ConcurrentHashMap<>();

  private DataFile() {}

  /** Checks that there is something to read, before anything is loaded. */
  public static void require(Path file) {
    if (!isStandardInput(file)) {
      PerformerException.require(Files.exists(file), "%s: no such file or directory", file);
      if (!Files.isDirectory(file)) {
        requireRegular(file, "a file of data");
      }
      PerformerException.require(Files.isReadable(file), "%s: no permission to read it", file);
    }
  }

  /** Whether a path is {@code -}, or a descriptor of this process that is no regular file. */
  public static boolean isStandardInput(Path file) {
    String name = file.toString();
    return name.equals("-")
        || name.matches("/dev/stdin|(/dev|/proc/self)/fd/\\d+")
            && Files.exists(file)
            && !Files.isRegularFile(file)
            && !Files.isDirectory(file);
  }

  /** The bytes of a file, unpacked if its first bytes are gzip's. */
  static InputStream open(Path file, String expected) {
    return unpacked(file, openPlain(file, expected));
  }

  private static InputStream unpacked(Path file, InputStream raw) {
    try {
      raw.mark(2);
      boolean isGzipped = raw.read() == 0x1f && raw.read() == 0x8b;
      raw.reset();
      return isGzipped ? new BufferedInputStream(new GZIPInputStream(raw, BUFFER), BUFFER) : raw;
    } catch (IOException e) {
      close(file, raw);
      throw unreadable(file, e);
    }
  }

  /** The bytes of a file as they are. */
  static InputStream openPlain(Path file, String expected) {
    try {
      return new BufferedInputStream(Files.newInputStream(place(file, expected)), BUFFER);
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  /**
   * The rows of a text, gzipped or not; bytes that are no characters are an error when met.
   *
   * @param tooLong the message, with the most characters of a row and the row's number
   */
  static Rows rows(Path file, String expected, Charset charset, String tooLong) {
    Counted bytes = new Counted(openPlain(file, expected));
    InputStream in = unpacked(file, new BufferedInputStream(bytes, BUFFER));
    // Given by itself, the charset would replace what it cannot decode.
    return new Rows(new InputStreamReader(in, charset.newDecoder()), tooLong, bytes);
  }

  /** Knows how many bytes of a file have been read. */
  private static final class Counted extends FilterInputStream {
    private long count;

    Counted(InputStream in) {
      super(in);
    }

    @Override
    public int read() throws IOException {
      int one = super.read();
      count += one < 0 ? 0 : 1;
      return one;
    }

    @Override
    public int read(byte[] bytes, int from, int length) throws IOException {
      int n = super.read(bytes, from, length);
      count += Math.max(0, n);
      return n;
    }
  }

  /** Refuses a row that never ends before it fills the memory. */
  static final class Rows extends FilterReader {
    private static final int LONGEST = 1 << 27; // of any text by far

    private final String tooLong;
    private final Counted bytes;
    private int allowance;
    private long row;

    private Rows(Reader in, String tooLong, Counted bytes) {
      super(in);
      this.tooLong = tooLong;
      this.bytes = bytes;
    }

    /** Bytes of the file that have been read, packed as they are there. */
    long consumed() {
      return bytes.count;
    }

    /** Begins the next row. */
    void begin() {
      allowance = LONGEST;
      row++;
    }

    @Override
    public int read(char[] chars, int from, int length) throws IOException {
      int n = super.read(chars, from, length);
      allowance -= Math.max(0, n);
      if (allowance < 0) {
        throw new IOException(tooLong.formatted(LONGEST, row));
      }
      return n;
    }
  }

  /** The lines of a text, gzipped or not, which end as on any system. */
  static final class Lines implements AutoCloseable {
    private final Path file;
    private final Rows text;
    private final BufferedReader lines;

    /** Of UTF-8. */
    Lines(Path file) {
      this(file, "a text file", StandardCharsets.UTF_8);
    }

    Lines(Path file, String expected, Charset charset) {
      this.file = file;
      String tooLong = "line %2$d has over %1$d characters; expected lines of text";
      text = rows(file, expected, charset, tooLong);
      lines = new BufferedReader(text);
    }

    /** The next line without its end, or null behind the last. */
    String next() {
      try {
        text.begin();
        return lines.readLine();
      } catch (IOException e) {
        throw unreadable(file, e);
      }
    }

    /** The next line that is not blank, or null behind the last. */
    String nextText() {
      String line = next();
      while (line != null && line.isBlank()) {
        line = next();
      }
      return line;
    }

    /** As {@link Rows#consumed}. */
    long consumed() {
      return text.consumed();
    }

    /** The number of the line that was read last, from 1. */
    long number() {
      return text.row;
    }

    @Override
    public void close() {
      DataFile.close(file, lines);
    }
  }

  /** Where bytes can be read at any place and again: the file, or a copy of the standard input. */
  static Path place(Path file, String expected) {
    if (isStandardInput(file)) {
      return COPIES.computeIfAbsent(file, DataFile::copy);
    }
    requireRegular(file, expected);
    return file;
  }

  private static void requireRegular(Path file, String expected) {
    try {
      RegularFiles.require(file);
    } catch (IOException e) {
      String what = "is a pipe or a device; only - , the standard input, may be one";
      if (e instanceof NoSuchFileException) {
        what = "does not exist";
      } else if (Files.isDirectory(file)) {
        what = "is a directory";
      }
      throw new PerformerException(file + " " + what + "; expected " + expected, e);
    }
  }

  private static Path copy(Path file) {
    // Not Files.newInputStream, which asks a pipe for its position.
    try (InputStream in =
        file.toString().equals("-") ? System.in : new FileInputStream(file.toFile())) {
      Path copy = Files.createTempFile("performer-input-", "");
      copy.toFile().deleteOnExit();
      Files.copy(in, copy, StandardCopyOption.REPLACE_EXISTING);
      return copy;
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  /** The files of a folder that are wanted, in the order of their names. @param depth of folders */
  static List<Path> list(Path folder, int depth, Predicate<Path> wanted) {
    try (Stream<Path> all = Files.walk(folder, depth)) {
      return all.filter(Files::isRegularFile).filter(wanted).sorted().toList();
    } catch (IOException | UncheckedIOException e) {
      throw new PerformerException(folder + " cannot be listed: " + reason(e), e);
    }
  }

  /** All of a file, unpacked. Memory grows with what is really there. */
  static byte[] readAll(Path file, String expected, int limit) {
    try (InputStream in = open(file, expected)) {
      byte[] bytes = in.readNBytes(limit);
      boolean isWhole = bytes.length < limit || in.read() < 0;
      String tooLarge = "%s unpacks to more than %d bytes; split it into smaller files";
      PerformerException.require(isWhole, tooLarge, file, limit);
      return bytes;
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  /** Writes a file, its folders too, whole or not at all; directly to devices and pipes. */
  public static void write(Path file, AtomicFiles.Writer content) {
    String isFolder = "%s: is a directory; give the name of a file";
    PerformerException.require(!Files.isDirectory(file), isFolder, file);
    try {
      Path place = (Files.exists(file) ? file.toRealPath() : file).toAbsolutePath(); // a link stays
      if (!Files.exists(place.getParent())) {
        Files.createDirectories(place.getParent());
      }
      if (Files.exists(place) && !Files.isRegularFile(place)) {
        try (OutputStream out = Files.newOutputStream(place)) {
          content.write(out);
        }
      } else {
        AtomicFiles.write(place, content);
      }
    } catch (IOException e) {
      throw unwritable(file, e);
    }
  }

  /** Why a file could not be written. */
  public static PerformerException unwritable(Path file, IOException e) {
    boolean isRefused = e instanceof AccessDeniedException;
    Path folder = file.toAbsolutePath().getParent();
    String why = isRefused ? "no permission in " + folder : AtomicFiles.describe(e);
    return new PerformerException(file + ": cannot be written: " + why, e);
  }

  /** Why a file could not be read. */
  static PerformerException unreadable(Path file, IOException e) {
    String what = ": cannot be read: " + AtomicFiles.describe(e);
    if (e instanceof EOFException) {
      what = " ends inside its gzip stream: it is cut off; copy or download it again";
    } else if (e instanceof ZipException) {
      what = " is a damaged gzip file: " + AtomicFiles.describe(e);
    } else if (e instanceof CharacterCodingException) {
      what = " holds bytes that are no UTF-8; expected text";
    } else if (e instanceof AccessDeniedException) {
      what = ": no permission to read it";
    }
    return new PerformerException(file + what, e);
  }

  /** Closes what was read from a file, or another source. */
  static void close(Object file, AutoCloseable in) {
    try {
      in.close();
    } catch (Exception e) {
      throw new PerformerException("cannot close " + file + ": " + reason(e), e);
    }
  }

  private static String reason(Exception e) {
    return (e instanceof UncheckedIOException ? e.getCause() : e) instanceof IOException io
        ? AtomicFiles.describe(io)
        : "the system gives no reason";
  }
}
