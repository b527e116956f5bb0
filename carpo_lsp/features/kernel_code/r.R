# Run inside an R kernel by features/queries.py. It must be quick and change nothing; what it has
# to tell it displays as JSON text, the only thing that a silent execution lets through.

carpo_json <- function(text) {
  text <- enc2utf8(as.character(text))
  text <- gsub("\\", "\\\\", text, fixed = TRUE)
  text <- gsub("\"", "\\\"", text, fixed = TRUE)
  text <- gsub("\n", "\\n", text, fixed = TRUE)
  text <- gsub("\r", "\\r", text, fixed = TRUE)
  text <- gsub("\t", "\\t", text, fixed = TRUE)
  text <- gsub("[[:cntrl:]]", " ", text)
  paste0("\"", text, "\"")
}

carpo_clip <- function(text, length) {
  if (nchar(text) <= length) text else paste0(substr(text, 1L, length - 1L), "\u2026")
}

# An item of a vector or list. Nothing is asked of objects, whose methods are anybody's.
carpo_item <- function(value) {
  if (is.null(value)) return("NULL")
  if (is.object(value)) return(paste0("<", carpo_clip(class(value)[[1L]], 24L), ">"))
  if (is.atomic(value) && length(value) == 1L && is.null(dim(value))) {
    text <- if (is.character(value) && !is.na(value)) dQuote(substr(value, 1L, 60L), FALSE) else
      format.default(value)
    return(carpo_clip(text, 24L))
  }
  if (is.function(value)) return("<function>")
  if (is.vector(value)) return(if (is.list(value)) "list(\u2026)" else "c(\u2026)")
  paste0("<", typeof(value), ">")
}

# The first items, and how many there are where they are not all: c(1, 2, ...) (100 items).
carpo_items <- function(value, names, opening) {
  count <- length(value)
  first <- seq_len(min(count, 10L))
  texts <- vapply(.subset(value, first), carpo_item, "")
  if (!is.null(names)) {
    names <- names[first]
    named <- !is.na(names) & nzchar(names)
    names <- vapply(names, carpo_clip, "", 24L)
    texts <- ifelse(named, paste(names, "=", texts), texts)
  }
  texts <- unname(texts)[cumsum(nchar(texts) + 2L) <= 62L]
  all <- length(texts) == count
  text <- paste0(opening, "(", paste(c(texts, if (!all) "\u2026"), collapse = ", "), ")")
  if (all) text else paste0(text, " (", count, if (count == 1L) " item)" else " items)")
}

carpo_short <- function(value) {
  if (is.function(value) || is.environment(value)) return("")
  if (is.null(value)) return("NULL")
  if (is.factor(value)) {
    codes <- as.vector(unclass(value))
    text <- carpo_items(levels(value)[codes[seq_len(min(length(codes), 11L))]], NULL, "factor")
    return(sub(" \\(11 items\\)$", paste0(" (", length(codes), " items)"), text))
  }
  if (is.object(value) && !is.data.frame(value)) return("")
  if (is.data.frame(value)) {
    columns <- attr(value, "names")
    few <- vapply(columns[seq_len(min(length(columns), 3L))], carpo_clip, "", 16L)
    if (length(columns) > 3L) few <- c(few, "\u2026")
    return(paste0(.row_names_info(value, 2L), " \u00d7 ", length(columns),
                  if (length(few)) ": ", paste(few, collapse = ", ")))
  }
  size <- dim(value)
  if (!is.null(size)) return(paste(paste(size, collapse = " \u00d7 "), typeof(value)))
  if (is.atomic(value) && length(value) == 1L && is.null(names(value))) {
    text <- if (is.character(value) && !is.na(value)) dQuote(substr(value, 1L, 60L), FALSE) else
      format.default(value)
    return(carpo_clip(text, 60L))
  }
  if (length(value) == 0L && is.atomic(value)) return(paste0(typeof(value), "(0)"))
  if (!is.vector(value)) return("")
  carpo_items(value, names(value), switch(typeof(value), list = "list", expression = "expression", "c"))
}

carpo_variables <- function() {
  names <- utils::head(ls(globalenv()), 1000L)
  until <- sum(proc.time()[1:2]) + 0.3
  entry <- function(name) {
    # A promise or an active binding would run code.
    if (bindingIsActive(name, globalenv())) return(NULL)
    value <- get(name, envir = globalenv(), inherits = FALSE)
    kind <- if (is.function(value)) "function" else "variable"
    # Once it takes too long, names are told without their values.
    text <- if (sum(proc.time()[1:2]) >= until) "" else
      tryCatch(carpo_short(value), error = function(e) "")
    parts <- carpo_json(c(name, kind, class(value)[[1L]], text))
    paste0("[", paste(parts, collapse = ","), "]")
  }
  paste0("[", paste(unlist(lapply(names, entry)), collapse = ","), "]")
}

carpo_find <- function(name) {
  parts <- regmatches(name, regexec("^([[:alnum:]._]+):::?([[:alnum:]._]+)$", name))[[1L]]
  if (length(parts) == 3L) {
    if (!isNamespaceLoaded(parts[[2L]])) return(NULL)
    return(get0(parts[[3L]], envir = asNamespace(parts[[2L]]), inherits = FALSE))
  }
  if (exists(name, envir = globalenv(), inherits = FALSE) && bindingIsActive(name, globalenv())) {
    return(NULL)
  }
  get0(name, envir = globalenv(), mode = "function")
}

carpo_definition <- function(name) {
  value <- carpo_find(name)
  ref <- attr(value, "srcref")
  if (!is.function(value) || is.null(ref)) return("null")
  file <- attr(ref, "srcfile")
  path <- if (is.null(file$filename) || is.null(file$wd)) "" else
    tryCatch(
      normalizePath(file.path(if (startsWith(file$filename, "/")) "" else file$wd, file$filename)),
      error = function(e) "", warning = function(e) "")
  source <- paste(as.character(ref, useSource = TRUE), collapse = "\n")
  paste0("{\"file\":", carpo_json(path), ",\"line\":", ref[[1L]] - 1L,
         ",\"source\":", carpo_json(source), "}")
}

carpo_signature <- function(name) {
  value <- carpo_find(name)
  if (!is.function(value)) return("null")
  shown <- if (is.primitive(value)) args(value) else value
  if (is.null(shown)) return("null")
  formals <- formals(shown)
  labels <- vapply(names(formals), function(argument) {
    default <- paste(deparse(formals[[argument]], width.cutoff = 500L), collapse = " ")
    if (nzchar(default)) paste(argument, "=", default) else argument
  }, "")
  carpo_json(paste0(name, "(", paste(labels, collapse = ", "), ")"))
}
