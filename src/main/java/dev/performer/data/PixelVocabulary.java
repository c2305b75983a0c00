package dev.performer.data;

import java.util.ArrayList;
import java.util.List;

/** Levels of brightness as tokens: id 0 is the darkest, then begin and padding. */
public final class PixelVocabulary {
  private PixelVocabulary() {}

  /**
   * Ids 0 to {@code levels - 1} are levels, then come begin and padding.
   *
   * @param levels from 2 to 256
   */
  public static Vocabulary of(int levels) {
    requireLevels(levels);
    List<String> tokens = new ArrayList<>();
    for (int level = 0; level < levels; level++) {
      tokens.add(level + " ");
    }
    tokens.addAll(List.of("<bos>", "<pad>"));
    return Vocabulary.of(tokens, "<pad>", null, "<bos>", null, null);
  }

  static void requireLevels(int levels) {
    if (levels < 2 || levels > 256) {
      throw new IllegalArgumentException("levels must be from 2 to 256, not " + levels);
    }
  }
}
