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
public final class FastaReader extends LookAhead<ProteinSequence> {
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
  private boolean first = true;

  private FastaReader(Path file, InputStream in) {
    this.file = file;
    this.in = in;
  }

  /**
   * Opens a file; whether it is gzipped is seen from its first bytes, not its name.
   *
   * @throws PerformerException if it cannot be read
   */
  public static FastaReader open(Path file) {
    return new FastaReader(file, DataFile.open(file, "a FASTA file"));
  }

  /** Whether the first thing in a file is a header or a comment of FASTA. */
  static boolean recognizes(Path file) {
    try (LineReader lines = new LineReader(file)) {
      String first = lines.nextText();
      return first != null && first.matches("\\uFEFF?\\s*[>;].*");
    }
  }

  @Override
  public void close() {
    DataFile.close(file, in);
  }

  /** Null at the end of the file. Every call after the first starts behind a {@code >}. */
  @Override
  protected ProteinSequence read() {
    if (first) {
      first = false;
      if (!skipToFirstHeader()) {
        throw new PerformerException(file + " holds no sequence; expected FASTA (lines with '>')");
      }
    } else if (peek() == END) {
      return null;
    }
    String header = readHeader().strip();
    int space = indexOfSpace(header);
    return new ProteinSequence(
        header.substring(0, space), header.substring(space).strip(), readResidues());
  }

  private boolean skipToFirstHeader() {
    skipByteOrderMark();
    for (int b = readByte(); b != END; b = readByte()) {
      if (b == '>') {
        return true;
      } else if (b == ';') {
        skipLine();
      } else if (!isSpace(b)) {
        throw isText(b)
            ? new PerformerException(
                file + ", line " + line + ": text before the first '>'; expected FASTA")
            : binary(b);
      }
    }
    return false;
  }

  private void skipByteOrderMark() {
    if (peek() == 0xEF) {
      readByte();
      if (readByte() != 0xBB || readByte() != 0xBF) {
        throw binary(0xEF);
      }
    }
  }

  private String readHeader() {
    var bytes = new ByteArrayOutputStream(100);
    for (int b = readByte(); b != '\n' && b != END; b = readByte()) {
      if (b < ' ' && b != '\t') {
        throw binary(b);
      }
      bytes.write(b);
      if (bytes.size() > MAX_HEADER) {
        throw new PerformerException(
            file + ", line " + line + ": a header of over " + MAX_HEADER + " bytes; not FASTA");
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
      if (!isSpace(b)) {
        if (!isText(b)) {
          throw binary(b);
        }
        if (residues.length() == MAX_RESIDUES) {
          throw new PerformerException(
              file + ", line " + line + ": a sequence of over " + MAX_RESIDUES + " letters");
        }
        residues.append((char) b);
      }
    }
    return residues.toString();
  }

  private void skipLine() {
    for (int b = readByte(); b != '\n' && b != END; b = readByte()) {
      if (b < ' ' && b != '\t') {
        throw binary(b);
      }
    }
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

  private static int indexOfSpace(String header) {
    int i = 0;
    while (i < header.length() && !Character.isWhitespace(header.charAt(i))) {
      i++;
    }
    return i;
  }

  private static boolean isSpace(int b) {
    return b == ' ' || b == '\t' || b == '\n';
  }

  private static boolean isText(int b) {
    return b > ' ' && b < 0x7F;
  }

  private PerformerException binary(int b) {
    return new PerformerException(
        String.format(
            "%s, line %d: byte 0x%02X does not belong in FASTA; expected a text file of proteins",
            file, line, b));
  }
}
