package dev.performer.data;

import dev.performer.PerformerException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/**
 * Reads a FASTA file, plain or gzipped, one record at a time.
 *
 * <p>Takes any line ends, blank lines, wrapped lines, {@code ;} comment lines and white space
 * inside sequences. Letters come as they are: what a letter means is the business of {@link
 * ResidueEncoder}. A file without a sequence, with text before the first {@code >}, with bytes that
 * are no text, or cut off inside its gzip stream ends in a {@link PerformerException} that names
 * file and line.
 */
final class FastaReader {
  /** Longer than any protein by far: what exceeds it is not a protein file. */
  static final int MAX_RESIDUES = 100_000_000;

  private static final int MAX_HEADER = 1 << 20;
  private static final int END = -1;

  private final Path file;
  private final InputStream in;
  private final byte[] buffer = new byte[1 << 16];
  private int position;
  private int limit;
  private long line = 1;
  private boolean afterCarriageReturn;
  private boolean started;

  private FastaReader(Path file) {
    this.file = file;
    in = DataFile.open(file, "a FASTA file");
  }

  /** Opens a file; whether it is gzipped is seen from its first bytes, not its name. */
  static DataStream<ProteinSequence> open(Path file) {
    FastaReader reader = new FastaReader(file);
    return DataStream.of(reader::next, () -> DataFile.close(file, reader.in));
  }

  /** Whether the first thing in a file is a header or a comment of FASTA. */
  static boolean recognizes(Path file) {
    try (LineReader lines = new LineReader(file)) {
      String first = lines.next();
      return first != null && first.matches("\\uFEFF?\\s*[>;].*");
    }
  }

  /** Null at the end of the file. Every call after the first starts behind a {@code >}. */
  private ProteinSequence next() {
    if (!started) {
      started = true;
      skipToFirstHeader();
    } else if (peek() == END) {
      return null;
    }
    String header = readHeader().strip();
    int space = (int) header.chars().takeWhile(c -> !Character.isWhitespace(c)).count();
    return new ProteinSequence(
        header.substring(0, space), header.substring(space).strip(), readResidues());
  }

  private void skipToFirstHeader() {
    if (peek() == 0xEF) {
      readByte();
      if (readByte() != 0xBB || readByte() != 0xBF) { // no byte order mark
        throw binary(0xEF);
      }
    }
    for (int b = readByte(); b != '>'; b = readByte()) {
      if (b == END) {
        throw new PerformerException(file + " holds no sequence; expected FASTA (lines with '>')");
      } else if (b == ';') {
        skipLine();
      } else if (isText(b)) {
        throw failure("text before the first '>'; expected FASTA");
      } else if (!isSpace(b)) {
        throw binary(b);
      }
    }
  }

  private String readHeader() {
    var bytes = new ByteArrayOutputStream(100);
    for (int b = readInLine(); b != '\n'; b = readInLine()) {
      bytes.write(b);
      if (bytes.size() > MAX_HEADER) {
        throw failure("a header of over " + MAX_HEADER + " bytes; not FASTA");
      }
    }
    return bytes.toString(StandardCharsets.UTF_8);
  }

  /** Up to the {@code >} that starts the next record, which is consumed, or the end. */
  private String readResidues() {
    StringBuilder residues = new StringBuilder(512);
    boolean atLineStart = true;
    for (int b = readByte(); b != END; b = readByte()) {
      if (atLineStart && b == '>') {
        break;
      }
      if (atLineStart && b == ';') {
        skipLine();
        continue;
      }
      atLineStart = b == '\n';
      if (isText(b)) {
        if (residues.length() == MAX_RESIDUES) {
          throw failure("a sequence of over " + MAX_RESIDUES + " letters");
        }
        residues.append((char) b);
      } else if (!isSpace(b)) {
        throw binary(b);
      }
    }
    return residues.toString();
  }

  private void skipLine() {
    while (readInLine() != '\n') {}
  }

  /** The next byte of a line of free text; its end, and that of the file, are {@code \n}. */
  private int readInLine() {
    int b = readByte();
    if (b != END && b < ' ' && b != '\t' && b != '\n') {
      throw binary(b);
    }
    return b == END ? '\n' : b;
  }

  /** The next byte with every kind of line end as {@code \n}, or {@link #END}. */
  private int readByte() {
    int b = peek();
    if (b == END) {
      return END;
    }
    position++;
    if (b == '\n' && afterCarriageReturn) {
      afterCarriageReturn = false;
      return readByte();
    }
    afterCarriageReturn = b == '\r';
    if (b == '\r' || b == '\n') {
      line++;
      return '\n';
    }
    return b;
  }

  private int peek() {
    if (position == limit) {
      try {
        limit = Math.max(0, in.read(buffer));
        position = 0;
      } catch (IOException e) {
        throw DataFile.unreadable(file, e);
      }
      if (limit == 0) {
        return END;
      }
    }
    return buffer[position] & 0xFF;
  }

  private static boolean isSpace(int b) {
    return b == ' ' || b == '\t' || b == '\n';
  }

  private static boolean isText(int b) {
    return b > ' ' && b < 0x7F;
  }

  private PerformerException binary(int b) {
    return failure(
        "byte 0x%02X does not belong in FASTA; expected a text file of proteins".formatted(b));
  }

  private PerformerException failure(String what) {
    return new PerformerException(file + ", line " + line + ": " + what);
  }
}
