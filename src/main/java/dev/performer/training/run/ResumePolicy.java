package dev.performer.training.run;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.TreeSet;
import java.util.regex.Pattern;

/** Which settings a run may go on with though they changed. */
public final class ResumePolicy {
  private static final Pattern FREE =
      Pattern.compile(
          "data\\.(train|validation)|evaluation\\.(sequences|target)|validation|training\\.(steps"
              + "|learningRate|schedule|warmupSteps|finalShare|clipNorm|labelSmoothing|zLoss"
              + "|optimizer\\.weightDecay|evaluateEvery|evaluationBatches|patience|checkpointEvery"
              + "|keepCheckpoints|logEvery|diagnosticsEvery|divergence|memoryCheck|precision)");

  private ResumePolicy() {}

  /** Keys that changed and may. @throws PerformerException that names one that must not */
  public static List<String> changes(JsonNode was, JsonNode now, Path run) {
    List<String> changed = new ArrayList<>();
    compare("", was, now, changed);
    var fixed =
        changed.stream()
            .filter(change -> !FREE.matcher(change.substring(0, change.indexOf(' '))).matches())
            // Other keys may follow from this one.
            .min(Comparator.comparing(change -> !change.startsWith("training.xla ")));
    String text = "cannot resume %s: %s; resume with the same, or start in another directory";
    PerformerException.require(fixed.isEmpty(), text, run, fixed.orElse(""));
    return changed;
  }

  private static void compare(String path, JsonNode was, JsonNode now, List<String> changed) {
    if (was instanceof ObjectNode && now instanceof ObjectNode) {
      var keys = new TreeSet<String>();
      was.fieldNames().forEachRemaining(keys::add);
      now.fieldNames().forEachRemaining(keys::add);
      for (String key : keys) {
        String inner = path.isEmpty() ? key : path + "." + key;
        compare(inner, was.path(key), now.path(key), changed);
      }
    } else if (!same(was, now)) {
      changed.add(path + " was " + text(was) + " and is now " + text(now));
    }
  }

  /** 1 and 1.0 are the same number, and a key without a value is as one that is not there. */
  private static boolean same(JsonNode was, JsonNode now) {
    boolean isAbsent = was.isMissingNode() || was.isNull();
    return was.equals(now)
        || was.isNumber() && now.isNumber() && was.doubleValue() == now.doubleValue()
        || isAbsent && (now.isMissingNode() || now.isNull());
  }

  private static String text(JsonNode value) {
    String shown = value.isValueNode() ? value.asText() : value.toString();
    return value.isMissingNode() ? "absent" : shown;
  }
}
