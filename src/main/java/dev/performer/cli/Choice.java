package dev.performer.cli;

import java.util.Locale;

/** Options whose values are few. */
final class Choice {
  private Choice() {}

  /**
   * The value of a label.
   *
   * @param label as users write it, such as {@code masked-lm}; null for none
   * @return null for none
   * @throws UsageException if it is no such value; it lists them
   */
  static <E extends Enum<E>> E of(String option, String label, Class<E> type) {
    if (label == null) {
      return null;
    }
    StringBuilder labels = new StringBuilder();
    E[] values = type.getEnumConstants();
    for (E value : values) {
      String own = value.name().toLowerCase(Locale.ROOT).replace('_', '-');
      if (own.equals(label)) {
        return value;
      }
      boolean isLast = value == values[values.length - 1];
      labels.append(labels.isEmpty() ? "" : isLast ? " or " : ", ").append(own);
    }
    throw new UsageException(option + " must be " + labels + ", not '" + label + "'");
  }
}
