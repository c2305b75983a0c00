package dev.performer.checkpoint;

import java.util.List;

/**
 * Where the elements of one tensor lie in a msgpack file.
 *
 * @param type of its elements
 * @param bigEndian as msgpack's own numbers are
 * @param info what a reader sees
 * @param pieces one after another they are the elements in C order
 */
record MsgpackTensor(
    ElementType type, boolean bigEndian, WeightFile.Info info, List<Piece> pieces) {

  /** A run of bytes of the file. */
  record Piece(long offset, long bytes) {}

  static MsgpackTensor of(ElementType type, boolean bigEndian, long[] shape, List<Piece> pieces) {
    long bytes = pieces.stream().mapToLong(Piece::bytes).sum();
    return new MsgpackTensor(
        type, bigEndian, new WeightFile.Info(type.label(), shape, bytes), List.copyOf(pieces));
  }
}
