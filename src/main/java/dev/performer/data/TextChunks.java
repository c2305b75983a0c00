package dev.performer.data;

import static dev.performer.PerformerException.require;

import java.nio.file.Path;
import java.util.Arrays;

/**
 * The bytes of a text file, gzipped or not, in pieces of one length that begin every {@code stride}
 * bytes; the last may be shorter. For files that fit into memory; {@link TextDocuments} streams.
 */
public record TextChunks(String name, ByteTokenizer tokenizer, byte[] bytes, int length, int stride)
    implements IndexedExamples {
  private static final int LIMIT = 1 << 30;

  /** Pieces that do not overlap, of a file of at most 1 GiB. */
  public static TextChunks read(Path file, ByteTokenizer tokenizer, int length) {
    return read(file, tokenizer, length, length);
  }

  /** Pieces that overlap where {@code stride} is less than their length. */
  public static TextChunks read(Path file, ByteTokenizer tokenizer, int length, int stride) {
    byte[] bytes = DataFile.readAll(file, "a text file", LIMIT);
    require(bytes.length > 0, "%s is empty; expected a text file", file);
    return new TextChunks(file.toString(), tokenizer, bytes, length, stride);
  }

  /** The first or the last part of the text, by a share of its bytes, as pieces of its own. */
  public TextChunks part(double from, double to) {
    byte[] part = Arrays.copyOfRange(bytes, (int) (from * bytes.length), (int) (to * bytes.length));
    return new TextChunks(name, tokenizer, part, length, stride);
  }

  @Override
  public long size() {
    // What a longer piece already holds is not repeated at the end.
    return bytes.length == 0 ? 0 : 1 + Math.max(0, bytes.length - length + stride - 1L) / stride;
  }

  @Override
  public Example get(long index) {
    int start = Math.toIntExact(index * stride);
    int end = (int) Math.min(bytes.length, (long) start + length);
    return Example.of(tokenizer.ids(Arrays.copyOfRange(bytes, start, end)));
  }
}
