package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** The columns of a table that hold what is to be learnt of a row's text. */
public sealed interface LabelColumns {
  List<String> columns();

  /** Reads rows, for one thread. */
  Reader reader(TextEncoder encoder);

  /** Tokens and label of a row. */
  @FunctionalInterface
  interface Reader {
    /**
     * @param where begins a message on the row
     */
    Example read(String text, List<String> fields, Supplier<String> where);
  }

  /** The ids of names in their order. */
  private static Map<String, Integer> ids(List<String> names) {
    Map<String, Integer> ids = new HashMap<>();
    names.forEach(name -> ids.put(name, ids.size()));
    return ids;
  }

  private static int id(Map<String, Integer> ids, String name, Supplier<String> where) {
    Integer id = ids.get(name);
    if (id == null) {
      String unknown = "%sclass '%s' is not among the %s known";
      throw new PerformerException(unknown.formatted(where.get(), Excerpt.of(name), ids.size()));
    }
    return id;
  }

  private static float number(String field, Supplier<String> where) {
    float number = Float.NaN;
    try {
      number = Float.parseFloat(field.strip());
    } catch (NumberFormatException e) {
      // reported below
    }
    if (!Float.isFinite(number)) {
      String text = "%slabel '%s' is not a finite number";
      throw new PerformerException(text.formatted(where.get(), Excerpt.of(field)));
    }
    return number;
  }

  /** The different names in columns, at most 100,000, sorted, numbers in their own order. */
  static List<String> names(TableFile table, String text, LabelColumns of) {
    TreeSet<String> names = new TreeSet<>();
    try (TableFile.Rows rows = table.open()) {
      int place = of instanceof Tags ? rows.column(text) : 0;
      int index = rows.column(of.columns().get(0));
      for (List<String> row = rows.next(); row != null; row = rows.next()) {
        String field = row.get(index);
        names.addAll(
            of instanceof Sets sets
                ? sets.split(field)
                : of instanceof Tags ? Tags.split(row.get(place), field) : List.of(field));
        boolean fits = names.size() <= TableExamples.MOST_CATEGORIES;
        String tooMany = "%s: column '%s' has over %s values; it is no class";
        String column = of.columns().get(0);
        require(fits, tooMany, table.file(), column, TableExamples.MOST_CATEGORIES);
      }
    }
    return sorted(names);
  }

  /** In the order of names, or of numbers if all are. */
  static List<String> sorted(TreeSet<String> names) {
    List<String> sorted = new ArrayList<>(names);
    if (sorted.stream().allMatch(name -> name.matches("\\d{1,9}"))) {
      sorted.sort(Comparator.comparingInt(Integer::parseInt));
    }
    return sorted;
  }

  /** One class. @param names of all, by their ids */
  record Class(String column, List<String> names) implements LabelColumns {
    @Override
    public List<String> columns() {
      return List.of(column);
    }

    @Override
    public Reader reader(TextEncoder encoder) {
      Map<String, Integer> ids = ids(names);
      return (text, fields, where) ->
          new Example(encoder.encode(text), new Label.Category(id(ids, fields.get(0), where)));
    }
  }

  /** One number to regress to. */
  record Number(String column) implements LabelColumns {
    @Override
    public List<String> columns() {
      return List.of(column);
    }

    @Override
    public Reader reader(TextEncoder encoder) {
      return (text, fields, where) ->
          new Example(encoder.encode(text), new Label.Value(number(fields.get(0), where)));
    }
  }

  /** Several numbers; an empty field is not known. */
  record Numbers(List<String> columns) implements LabelColumns {
    @Override
    public Reader reader(TextEncoder encoder) {
      return (text, fields, where) -> {
        float[] values = new float[fields.size()];
        for (int i = 0; i < values.length; i++) {
          values[i] = fields.get(i).isBlank() ? Float.NaN : number(fields.get(i), where);
        }
        return new Example(encoder.encode(text), new Label.Values(values));
      };
    }
  }

  /** A column for each label: 0 or 1, false or true; an empty field is not known. */
  record Flags(List<String> columns) implements LabelColumns {
    @Override
    public Reader reader(TextEncoder encoder) {
      return (text, fields, where) -> {
        float[] values = new float[fields.size()];
        for (int i = 0; i < values.length; i++) {
          String field = fields.get(i).strip();
          boolean isSet = field.matches("(?i)1(\\.0*)?|true|yes");
          boolean isKnown = isSet || field.isEmpty() || field.matches("(?i)0(\\.0*)?|false|no");
          String wrong = "%scolumn '%s' is '%s'; expected 0 or 1";
          if (!isKnown) {
            throw new PerformerException(
                wrong.formatted(where.get(), columns.get(i), Excerpt.of(field)));
          }
          values[i] = field.isEmpty() ? Float.NaN : isSet ? 1 : 0;
        }
        return new Example(encoder.encode(text), new Label.Values(values));
      };
    }
  }

  /** Any number of labels in one column, with a separator between them. */
  record Sets(String column, String separator, List<String> names) implements LabelColumns {
    @Override
    public List<String> columns() {
      return List.of(column);
    }

    private List<String> split(String field) {
      var parts = Stream.of(field.split(Pattern.quote(separator)));
      return parts.map(String::strip).filter(part -> !part.isEmpty()).toList();
    }

    @Override
    public Reader reader(TextEncoder encoder) {
      Map<String, Integer> ids = ids(names);
      return (text, fields, where) -> {
        float[] values = new float[names.size()];
        split(fields.get(0)).forEach(name -> values[id(ids, name, where)] = 1);
        return new Example(encoder.encode(text), new Label.Values(values));
      };
    }
  }

  /**
   * A class for each word of the text, or for each of its letters: as many as there are, with
   * spaces between them, or single letters without. The first token of each carries its class.
   */
  record Tags(String column, List<String> names) implements LabelColumns {
    @Override
    public List<String> columns() {
      return List.of(column);
    }

    /** As many single letters as the text has are a class each; others have spaces between them. */
    private static List<String> split(String text, String field) {
      String tags = field.strip();
      boolean isOfLetters = tags.length() > 1 && tags.length() == text.strip().length();
      boolean isPlain = tags.chars().noneMatch(Character::isWhitespace);
      return List.of(tags.split(isOfLetters && isPlain ? "" : "\\s+"));
    }

    @Override
    public Reader reader(TextEncoder encoder) {
      Map<String, Integer> ids = ids(names);
      return (text, fields, where) -> {
        List<String> tags = split(text, fields.get(0));
        String trimmed = text.strip();
        List<String> words = List.of(trimmed.split("\\s+"));
        boolean isOfWords = words.size() == tags.size();
        List<String> letters = List.of(trimmed.split(""));
        if (!isOfWords && (words.size() > 1 || letters.size() != tags.size())) {
          String wrong = "%s%d classes, but the text has %d %s%s; expected one for each";
          String ofLetters = words.size() > 1 ? "" : " of %d letters".formatted(letters.size());
          throw new PerformerException(
              wrong.formatted(
                  where.get(),
                  tags.size(),
                  words.size(),
                  words.size() == 1 ? "word" : "words",
                  ofLetters));
        }
        List<int[]> parts =
            isOfWords ? words(encoder, trimmed, words) : parts(encoder, letters, "");
        int[] classes = tags.stream().mapToInt(tag -> id(ids, tag, where)).toArray();
        return example(parts, classes);
      };
    }

    private static Example example(List<int[]> parts, int[] classes) {
      int[] tokens = parts.stream().flatMapToInt(IntStream::of).toArray();
      int[] tags = new int[tokens.length];
      Arrays.fill(tags, -1);
      int at = 0;
      for (int i = 0; i < parts.size(); i++) {
        if (parts.get(i).length > 0) {
          tags[at] = classes[i];
          at += parts.get(i).length;
        }
      }
      return new Example(tokens, new Label.Tags(tags));
    }

    /** The tokens of each word, together those of the text wherever a tokenizer lets them be. */
    private static List<int[]> words(TextEncoder encoder, String text, List<String> words) {
      int[] whole = encoder.encode(text);
      List<int[]> alone = parts(encoder, words, "");
      if (Arrays.equals(whole, alone.stream().flatMapToInt(IntStream::of).toArray())) {
        return alone;
      }
      List<int[]> spaced = parts(encoder, words, " "); // a space may belong to the word behind it
      boolean isSame = Arrays.equals(whole, spaced.stream().flatMapToInt(IntStream::of).toArray());
      return isSame ? spaced : alone;
    }

    private static List<int[]> parts(TextEncoder encoder, List<String> units, String before) {
      return IntStream.range(0, units.size())
          .mapToObj(i -> encoder.encode((i == 0 ? "" : before) + units.get(i)))
          .toList();
    }
  }
}
