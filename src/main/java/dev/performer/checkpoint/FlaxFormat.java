package dev.performer.checkpoint;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Checkpoints that {@code flax.training.checkpoints} wrote: one msgpack map. */
final class FlaxFormat implements WeightFormat {

  @Override
  public boolean recognizes(Path path, byte[] head) {
    if (Files.isDirectory(path)) {
      return FlaxCheckpoint.locate(path).isPresent();
    }
    return startsAsMsgpack(head);
  }

  @Override
  public WeightFile open(Path path) {
    return FlaxCheckpoint.open(path);
  }

  /** A map of any size, or a single array; pickles too begin with a byte that says "empty map". */
  static boolean startsAsMsgpack(byte[] head) {
    if (head.length == 0) {
      return false;
    }
    int first = head[0] & 0xff;
    boolean map = (first > 0x80 && first <= 0x8f) || first == 0xde || first == 0xdf;
    boolean loneArray =
        (first >= 0xc7 && first <= 0xc9)
            && new String(head, StandardCharsets.ISO_8859_1).matches("(?s).{2,8}\u0093.*");
    return map || loneArray || (first == 0x80 && head.length == 1);
  }
}
