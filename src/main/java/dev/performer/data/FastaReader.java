package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/**
 * Reads a FASTA file, plain or gzipped, one record at a time: with any line ends, blank lines,
 * wrapped lines, {@code ;} comment lines and white space inside sequences.
 */
final class FastaReader {
  static final int MAX_RESIDUES = 100_000_000; // longer than any protein by far
  private static final int MAX_HEADER = 1 << 20;
  private static final String BYTE_ORDER_MARK = "\u00EF\u00BB\u00BF";

  private final Path file;
  private final DataFile.Lines lines; // of bytes: only headers may hold more than ASCII
  private String header; // of the next record, behind its '>'

  FastaReader(Path file) {
    this.file = file;
    lines = new DataFile.Lines(file, "a FASTA file", StandardCharsets.ISO_8859_1);
  }

  /** Opens a file; whether it is gzipped is seen from its first bytes, not its name. */
  static DataStream<ProteinSequence> open(Path file) {
    FastaReader reader = new FastaReader(file);
    return DataStream.of(reader::next, reader::close);
  }

  /** Whether the first thing in a file is a header or a comment of FASTA. */
  static boolean recognizes(Path file) {
    try (DataFile.Lines lines = new DataFile.Lines(file)) {
      String first = lines.nextText();
      return first != null && first.matches("\\uFEFF?\\s*[>;].*");
    }
  }

  /** As {@link DataFile.Rows#consumed}. */
  long consumed() {
    return lines.consumed();
  }

  void close() {
    lines.close();
  }

  /** The next record; null behind the last. */
  ProteinSequence next() {
    if (lines.number() == 0) {
      header = nextHeader(null);
      require(header != null, "%s holds no sequence; expected FASTA (lines with '>')", file);
    }
    if (header == null) {
      return null;
    }
    requireText(header);
    if (header.length() > MAX_HEADER) {
      throw failure("a header of over " + MAX_HEADER + " bytes; not FASTA");
    }
    byte[] bytes = header.getBytes(StandardCharsets.ISO_8859_1);
    String text = new String(bytes, StandardCharsets.UTF_8).strip();
    int space = (int) text.chars().takeWhile(c -> !Character.isWhitespace(c)).count();
    String description = text.substring(space).strip();
    StringBuilder residues = new StringBuilder(512);
    header = nextHeader(residues);
    return new ProteinSequence(text.substring(0, space), description, residues.toString());
  }

  /** Behind its {@code >}; null at the end. Letters before it are residues, or refused. */
  private String nextHeader(StringBuilder residues) {
    for (String line = lines.next(); line != null; line = lines.next()) {
      int start = residues == null ? start(line) : 0;
      if (line.startsWith(">", start)) {
        return line.substring(start + 1);
      } else if (line.startsWith(";", start)) {
        requireText(line.substring(start));
        continue;
      }
      if (residues == null) {
        if (start < line.length()) {
          char c = line.charAt(start);
          throw isLetter(c) ? failure("text before the first '>'; expected FASTA") : binary(c);
        }
        continue;
      }
      int from = 0;
      for (int i = 0; i < line.length(); i++) {
        if (isSpace(line.charAt(i))) {
          residues.append(line, from, i);
          from = i + 1;
        } else if (!isLetter(line.charAt(i))) {
          throw binary(line.charAt(i));
        }
      }
      residues.append(line.substring(from));
      if (residues.length() > MAX_RESIDUES) {
        throw failure("a sequence of over " + MAX_RESIDUES + " letters");
      }
    }
    return null;
  }

  /** Behind white space and a byte order mark. */
  private int start(String line) {
    boolean isMarked = lines.number() == 1 && line.startsWith(BYTE_ORDER_MARK);
    int mark = isMarked ? BYTE_ORDER_MARK.length() : 0;
    return mark + (int) line.chars().skip(mark).takeWhile(FastaReader::isSpace).count();
  }

  /** Headers and comments are free text, without control characters. */
  private void requireText(String line) {
    for (int i = 0; i < line.length(); i++) {
      char c = line.charAt(i);
      if (c < ' ' && c != '\t') {
        throw binary(c);
      }
    }
  }

  private static boolean isLetter(int c) {
    return c > ' ' && c < 0x7F;
  }

  private static boolean isSpace(int c) {
    return c == ' ' || c == '\t';
  }

  private PerformerException binary(int b) {
    return failure(
        "byte 0x%02X does not belong in FASTA; expected a text file of proteins".formatted(b));
  }

  private PerformerException failure(String what) {
    return new PerformerException(file + ", line " + lines.number() + ": " + what);
  }
}
