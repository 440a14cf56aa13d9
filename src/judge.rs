//! Customers' JSON bodies become values, or are refused with what is wrong.
